/** System: what all workers of all hosts report, asked again and again while somebody looks. */
import { useEffect, useState } from 'react';
import { feedOf } from '../feed/shared';
import { get } from './rest';

/** What a worker last said of itself; totals are those since it began, rates are null in its first report. */
export interface Worker {
  host: string;
  /** Its number on its host. */
  worker: number;
  process: number;
  version: string;
  started_at: string;
  reported_at: string;
  listener: 'connecting' | 'live' | 'reconnecting';
  streams: number;
  log_reads: number;
  overflows: number;
  reconnects: number;
  unannounced: number;
  errors: number;
  changes_per_second: number | null;
  deliveries_per_second: number | null;
  cpu_percent: number | null;
  resident_bytes: number | null;
  commit_to_publish_ms: { p50: number; p99: number } | null;
}

/** Microseconds of a call, on average; null without one. */
export interface Cost {
  calls: number;
  mean_us: number | null;
}

export interface Workers {
  workers: readonly Worker[];
  /** Null where PostgreSQL does not measure it. */
  trigger_cost: { record: Cost; numbering: Cost } | null;
}

export interface SystemPoint {
  start: string;
  streams: number | null;
  changes_per_second: number | null;
  deliveries_per_second: number | null;
  sequencer_lag_seconds: number | null;
}

const REPORTED_MS = 10_000;
const POINT_MS = 30_000;

export const useWorkers = () => useAnswers<Workers>('/api/system/workers', REPORTED_MS);
export const useHour = () => useAnswers<{ points: readonly SystemPoint[] }>('/api/system/history', POINT_MS);

/** The newest answer, null until the first. Asks every so often while the page is seen and somebody is signed in. */
function useAnswers<R>(path: string, everyMs: number): { value: R | null; error: Error | null } {
  const [value, setValue] = useState<R | null>(null);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    const stopping = new AbortController();
    let askedAt = 0;
    let timer: ReturnType<typeof setInterval> | undefined;
    const ask = () => {
      askedAt = Date.now();
      // From now on: a tick that asked the clock whether it is time would find itself a millisecond early, and be lost.
      clearInterval(timer);
      timer = setInterval(askIfSeen, everyMs);
      get<R>(path, stopping.signal).then(
        (answer) => {
          setValue(answer);
          setError(null);
        },
        (reason: unknown) => {
          if (!stopping.signal.aborted) setError(reason as Error);
        },
      );
    };
    const askIfSeen = () => {
      if (!document.hidden && feedOf().state.status !== 'signed-out') ask();
    };
    const askIfDue = () => {
      if (Date.now() - askedAt >= everyMs) askIfSeen();
    };
    ask();
    document.addEventListener('visibilitychange', askIfDue);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', askIfDue);
      stopping.abort();
    };
  }, [path, everyMs]);
  return { value, error };
}

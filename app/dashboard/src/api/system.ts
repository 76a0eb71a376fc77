/** System: the counters of the workers. Each worker reports only its own, so rates are per worker. */
import { useEffect, useState } from 'react';
import { feedOf } from '../feed/shared';
import { get } from './rest';

export interface Worker {
  worker: number;
  started_at: number;
  streams: number;
  changes: number;
  deliveries: number;
  replays: number;
  log_reads?: number;
  overflows: number;
  resets: number;
  reconnects: number;
  unannounced: number;
  errors: number;
  listener: {
    state: 'connecting' | 'live' | 'reconnecting' | 'stopped';
    cursor: string | null;
    since: number | string;
  };
  /** Gives ids to changes, in one worker at a time. */
  sequencer: {
    state: 'away' | 'awake' | 'sleeping' | 'watching' | 'waiting for transactions';
    numbered: number;
    unrung: number;
  };
  ring: { frames: number; bytes: number };
  commit_to_publish_ms: { p50: number; p99: number } | null;
}

export interface Answered extends Worker {
  at: number;
  changesPerSecond: number | null;
  deliveriesPerSecond: number | null;
  /** Changes a second, oldest first. */
  history: readonly number[];
}

const EVERY_MS = 2000;
const FORGET_MS = 60_000;
const KEPT = 90;

/** Ask every two seconds while mounted; forget workers that have not answered for a minute. */
export function useWorkers(): { workers: readonly Answered[]; error: Error | null } {
  const [workers, setWorkers] = useState<readonly Answered[]>([]);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    const stopping = new AbortController();
    const ask = () =>
      get<Worker>('/api/system', stopping.signal).then(
        (worker) => {
          setWorkers((before) => merge(before, worker, Date.now()));
          setError(null);
        },
        (reason: unknown) => {
          if (!stopping.signal.aborted) setError(reason as Error);
        },
      );
    void ask();
    const timer = setInterval(() => {
      if (!document.hidden && feedOf().state.status !== 'signed-out') void ask();
    }, EVERY_MS);
    return () => {
      clearInterval(timer);
      stopping.abort();
    };
  }, []);
  return { workers, error };
}

function merge(before: readonly Answered[], worker: Worker, at: number): Answered[] {
  const same = before.find((one) => one.worker === worker.worker && one.started_at === worker.started_at);
  const seconds = same ? (at - same.at) / 1000 : 0;
  const rate = (name: 'changes' | 'deliveries') => (same && seconds > 0 ? (worker[name] - same[name]) / seconds : null);
  const changesPerSecond = rate('changes');
  const history = [...(same?.history ?? []), ...(changesPerSecond === null ? [] : [changesPerSecond])].slice(-KEPT);
  const answered = { ...worker, at, changesPerSecond, deliveriesPerSecond: rate('deliveries'), history };
  const others = before.filter((one) => one.worker !== worker.worker && at - one.at < FORGET_MS);
  return [...others, answered].sort((a, b) => a.worker - b.worker);
}

/**
 * What the server says of a range. The answer before stays until the next is here, and a request whose answer nobody
 * waits for any more is aborted. What failed is tried again once the server is back.
 */
import { useEffect, useState } from 'react';
import { useStats } from '../hooks/useStats';
import { readAll } from './read';

export interface HistoryState<R, A> {
  /** The newest answers, and what they are about; null until the first. */
  found: { answers: readonly R[]; about: A } | null;
  /** Why there is no answer about what is wanted. */
  error: Error | null;
  waiting: boolean;
  retry: () => void;
}

/** The answers to these requests; the paths decide, and `about` is kept with the answers. */
export function useHistory<R, A>(paths: readonly string[], about: A): HistoryState<R, A> {
  const wanted = paths.join(' ');
  const [found, setFound] = useState<{ answers: readonly R[]; about: A; wanted: string } | null>(null);
  const [failed, setFailed] = useState<{ error: Error; wanted: string } | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stopping = new AbortController();
    readAll<R>(paths, stopping.signal).then(
      (answers) => {
        if (stopping.signal.aborted) return;
        setFound({ answers, about, wanted });
        setFailed(null);
      },
      (error: unknown) => {
        if (!stopping.signal.aborted) setFailed({ error: error as Error, wanted });
      },
    );
    return () => stopping.abort();
  }, [wanted, round]);
  const error = failed?.wanted === wanted ? failed.error : null;
  const retry = () => {
    setFailed(null);
    setRound((before) => before + 1);
  };
  const { live } = useStats();
  useEffect(() => {
    if (live && error) retry();
  }, [live]);
  return { found, error, waiting: error === null && found?.wanted !== wanted, retry };
}

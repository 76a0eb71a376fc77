/** What REST answers, read when it is shown and whenever `reload` is called. */
import { useEffect, useRef, useState } from 'react';

export function useRead<R>(read: (signal: AbortSignal) => Promise<R>, key = '') {
  const [value, setValue] = useState<R | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [round, setRound] = useState(0);
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    const stopping = new AbortController();
    latest.current(stopping.signal).then(
      (next) => {
        if (stopping.signal.aborted) return;
        setValue(next);
        setError(null);
      },
      (reason: unknown) => {
        if (!stopping.signal.aborted) setError(reason as Error);
      },
    );
    return () => stopping.abort();
  }, [key, round]);
  return { value, error, reload: () => setRound((before) => before + 1) };
}

/** React's side of a replica: reads it, and keeps it alive while a component is mounted. */
import { useMemo, useSyncExternalStore } from 'react';
import { LOADING, type Plot, type ReplicaState } from '../feed/replica';
import { replicaOf } from '../feed/shared';

/** Use the replica of a key, shared by all components. The key must contain everything that the plot depends on. */
export function useReplica<V>(key: string, plot: () => Plot<V>, base = ''): ReplicaState<V> & { reload: () => void } {
  // Deliberate: only the key decides; the plot is a fresh closure at every render.
  const entry = useMemo(
    () => ({
      subscribe: (listener: () => void) => replicaOf(key, plot, base).subscribe(listener),
      get: () => replicaOf(key, plot, base).get(),
      reload: () => replicaOf(key, plot, base).reload(),
    }),
    [key, base],
  );
  return { ...useSyncExternalStore(entry.subscribe, entry.get, () => LOADING), reload: entry.reload };
}

/** React's side of the connection that all hooks share. */
import { useSyncExternalStore } from 'react';
import { CLOSED, type StreamState } from '../feed/stream';
import { feedOf } from '../feed/shared';

/** The state of the shared connection. It does not open one by itself. */
export function useConnection(base = ''): StreamState {
  const feed = feedOf(base);
  return useSyncExternalStore(
    (listener) => feed.watch(listener),
    () => feed.state,
    () => CLOSED, // on a server nothing connects
  );
}

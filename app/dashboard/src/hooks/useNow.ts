/** The current time in whole seconds: one timer for all components that show how long ago something was. */
import { useSyncExternalStore } from 'react';
import { Listeners } from '../feed/listeners';

const listeners = new Listeners();
let now = Math.floor(Date.now() / 1000) * 1000;
let timer: ReturnType<typeof setInterval> | undefined;

/** Milliseconds since 1970; changes once a second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

function subscribe(listener: () => void): () => void {
  const remove = listeners.add(listener);
  timer ??= setInterval(() => {
    now = Math.floor(Date.now() / 1000) * 1000;
    listeners.call();
  }, 1000);
  return () => {
    remove();
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

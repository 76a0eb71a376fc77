/** Toasts: short notes that disappear after some seconds. At most SHOWN at a time, and those that can be taken back; knows no React. */
import { Listeners } from '../feed/listeners';
import { currentWords } from '../i18n/language';

export interface Toast {
  id: number;
  kind: 'alert' | 'error' | 'note';
  title?: string;
  text: string;
  href?: string;
  /** Takes back what it tells. */
  undo?: () => void;
}

/** For how long something can be taken back. */
export const UNDO_SECONDS = 8;

const SHOWN = 4;
const SECONDS: Readonly<Record<Toast['kind'], number>> = { alert: 12, error: 10, note: 5 };
const listeners = new Listeners();
let toasts: readonly Toast[] = [];
let number = 0;

export function toast(entry: Omit<Toast, 'id'>): void {
  const id = ++number;
  // A storm of alerts must not take away the way back.
  const others = toasts.filter((one) => !one.undo).slice(1 - SHOWN);
  set([...toasts.filter((one) => one.undo || others.includes(one)), { ...entry, id }]);
  setTimeout(() => dismiss(id), (entry.undo ? UNDO_SECONDS : SECONDS[entry.kind]) * 1000);
}

/** Say why something failed. */
export function toastError(error: unknown): void {
  toast({ kind: 'error', text: reasonOf(error) });
}

export function reasonOf(error: unknown): string {
  return currentWords().t('That did not work: {reason}', {
    reason: error instanceof Error ? error.message : String(error),
  });
}

export function dismiss(id: number): void {
  set(toasts.filter((one) => one.id !== id));
}

export const toastStore = {
  get: () => toasts,
  subscribe: listeners.add,
};

function set(next: readonly Toast[]): void {
  toasts = next;
  listeners.call();
}

/** Toasts: short notes that disappear after some seconds. At most SHOWN at a time; knows no React. */
import { Listeners } from '../feed/listeners';

export interface Toast {
  id: number;
  kind: 'alert' | 'error' | 'note';
  title?: string;
  text: string;
  href?: string;
}

const SHOWN = 4;
const SECONDS: Readonly<Record<Toast['kind'], number>> = { alert: 12, error: 10, note: 5 };
const listeners = new Listeners();
let toasts: readonly Toast[] = [];
let number = 0;

export function toast(entry: Omit<Toast, 'id'>): void {
  const id = ++number;
  set([...toasts, { ...entry, id }].slice(-SHOWN));
  setTimeout(() => dismiss(id), SECONDS[entry.kind] * 1000);
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

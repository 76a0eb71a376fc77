/**
 * Toasts: short notes that disappear after some seconds; knows no React.
 *
 * Invariant: the newest of each kind is shown, with how many more there are. What can be taken back is a kind of its own:
 * a storm of alerts does not take away the way back.
 */
import { Listeners } from '../feed/listeners';
import { currentWords } from '../i18n/language';
import { sentenceOf } from '../i18n/refusals';

export interface Toast {
  id: number;
  kind: 'alert' | 'error' | 'note';
  title?: string;
  /** The session that it is about; null if it is about all. */
  sessionId?: string | null;
  text: string;
  href?: string;
  /** Takes back what it tells. */
  undo?: () => void;
}

/** For how long something can be taken back. */
export const UNDO_SECONDS = 8;

/** More alerts than these are only counted. */
const KEPT = 1000;
const SECONDS: Readonly<Record<Toast['kind'], number>> = { alert: 12, error: 10, note: 5 };
const listeners = new Listeners();
let toasts: readonly Toast[] = [];
let number = 0;

export function toast(entry: Omit<Toast, 'id'>): void {
  const id = ++number;
  set([...toasts.slice(-KEPT), { ...entry, id }]);
  setTimeout(() => dismiss(id), (entry.undo ? UNDO_SECONDS : SECONDS[entry.kind]) * 1000);
}

/** Say why something failed. */
export function toastError(error: unknown): void {
  toast({ kind: 'error', text: reasonOf(error) });
}

export function reasonOf(error: unknown): string {
  const words = currentWords();
  return words.t('That did not work: {reason}', { reason: sentenceOf(error, words) });
}

export function dismiss(...ids: readonly number[]): void {
  set(toasts.filter((one) => !ids.includes(one.id)));
}

/** The newest toast of each kind, oldest first, with the ids of all that it stands for. */
export function stacked(all: readonly Toast[]): { top: Toast; ids: readonly number[] }[] {
  const stacks = new Map<string, { top: Toast; ids: number[] }>();
  for (const one of all) {
    const kind = one.undo ? 'undo' : one.kind;
    const ids = stacks.get(kind)?.ids ?? [];
    stacks.delete(kind); // a kind stands where its newest is
    stacks.set(kind, { top: one, ids: [...ids, one.id] });
  }
  return [...stacks.values()];
}

export const toastStore = {
  get: () => toasts,
  subscribe: listeners.add,
};

function set(next: readonly Toast[]): void {
  toasts = next;
  listeners.call();
}

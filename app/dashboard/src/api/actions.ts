/** Actions on alerts, each in one request, and how it is taken back; and which sessions are hidden. */
import { toast, toastError } from '../browser/toasts';
import { Listeners } from '../feed/listeners';
import { currentWords } from '../i18n/language';
import { send } from './rest';

/** Resolve these alerts, or all that are open, at the time of the database. */
export async function resolveAlerts(which: { ids: readonly string[] } | { all: true }): Promise<void> {
  const answer = await send<{ resolved: number; resolved_at: string }>('POST', '/api/alerts/resolve', which);
  const { resolved = 0, resolved_at } = answer ?? {};
  const { t, number } = currentWords();
  const text = resolved === 1 ? t('Alert resolved') : t('Resolved {n} alerts', { n: number(resolved) });
  offer(text, resolved > 0, '/api/alerts/reopen', { resolved_at });
}

/** Say what was done, and how to take it back. */
export function offer(
  text: string,
  undoable: boolean,
  path: string,
  body: object,
  method: 'POST' | 'PATCH' = 'POST',
): void {
  toast({ kind: 'note', text, ...(undoable ? { undo: () => void send(method, path, body).catch(toastError) } : {}) });
}

const listeners = new Listeners();
let hidden: ReadonlySet<string> = new Set();

/** The sessions that are deleted, or about to be. */
export const hiddenSessions = { get: () => hidden, subscribe: listeners.add };

/** Hide a session, or show it again. */
export function hide(id: string, wanted: boolean): void {
  const next = new Set(hidden);
  if (wanted) next.add(id);
  else next.delete(id);
  hidden = next;
  listeners.call();
}

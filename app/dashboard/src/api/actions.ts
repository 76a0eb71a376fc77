/**
 * Actions: what an operator does to alerts and sessions, each in one request, and how it is taken back.
 *
 * Invariant: nothing is deleted while it can still be taken back. A session that is about to be is hidden, and comes
 * back if the operator or the server says so; who leaves the page has decided.
 */
import { toast, toastError, UNDO_SECONDS } from '../browser/toasts';
import { Listeners } from '../feed/listeners';
import type { Session } from '../feed/rows';
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

export async function stopSession({ id, session_name }: Session): Promise<void> {
  const answer = await send<{ stopped: number; stopped_at: string }>('POST', '/api/sessions/stop', { ids: [id] });
  const { stopped = 0, stopped_at } = answer ?? {};
  offer(currentWords().t('Stopped {name}', { name: session_name }), stopped > 0, '/api/sessions/resume', {
    stopped_at,
  });
}

function offer(text: string, undoable: boolean, path: string, body: object): void {
  toast({ kind: 'note', text, ...(undoable ? { undo: () => void send('POST', path, body).catch(toastError) } : {}) });
}

const DELETE = '/api/sessions/delete';
const pending = new Set<string>();
const listeners = new Listeners();
let hidden: ReadonlySet<string> = new Set();

/** The sessions that are deleted, or about to be. */
export const hiddenSessions = { get: () => hidden, subscribe: listeners.add };

/** Delete a session once it can no longer be taken back. */
export function deleteSession({ id, session_name }: Session): void {
  pending.add(id);
  hide(id, true);
  const timer = setTimeout(() => {
    if (!pending.delete(id)) return;
    send('POST', DELETE, { ids: [id] }).catch((error: unknown) => {
      hide(id, false);
      toastError(error);
    });
  }, UNDO_SECONDS * 1000);
  const undo = () => {
    clearTimeout(timer);
    if (pending.delete(id)) hide(id, false);
  };
  toast({ kind: 'note', text: currentWords().t('Deleted {name}', { name: session_name }), undo });
}

function hide(id: string, wanted: boolean): void {
  const next = new Set(hidden);
  if (wanted) next.add(id);
  else next.delete(id);
  hidden = next;
  listeners.call();
}

addEventListener('pagehide', () => {
  const ids = [...pending];
  pending.clear();
  // The page may be gone before an answer comes; `keepalive` lets the request outlive it.
  if (ids.length > 0) void send('POST', DELETE, { ids }, true).catch(() => {});
});

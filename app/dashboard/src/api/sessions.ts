/**
 * Sessions: how an operator stops and deletes one, and how it is taken back.
 *
 * Invariant: nothing is deleted while it can still be taken back. A session that is about to be is hidden, and comes
 * back if the operator or the server says so; who leaves the page has decided.
 */
import { toast, toastError, UNDO_SECONDS } from '../browser/toasts';
import type { Session } from '../feed/rows';
import { currentWords } from '../i18n/language';
import { hide, offer } from './actions';
import { send } from './rest';

const DELETE = '/api/sessions/delete';
const pending = new Set<string>();

export async function stopSession({ id, session_name }: Session): Promise<void> {
  const answer = await send<{ stopped: number; stopped_at: string }>('POST', '/api/sessions/stop', { ids: [id] });
  const { stopped = 0, stopped_at } = answer ?? {};
  offer(currentWords().t('Stopped {name}', { name: session_name }), stopped > 0, '/api/sessions/resume', {
    stopped_at,
  });
}

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

addEventListener('pagehide', () => {
  const ids = [...pending];
  pending.clear();
  // The page may be gone before an answer comes; `keepalive` lets the request outlive it.
  if (ids.length > 0) void send('POST', DELETE, { ids }, true).catch(() => {});
});

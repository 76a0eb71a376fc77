/** What an operator does with a session: stop, rename, delete; each asked about where it cannot be undone. */
import { useState } from 'react';
import { send } from '../data/api';
import type { Session } from '../feed/rows';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';
import { Icon } from './Icon';

type Open = 'stop' | 'rename' | 'delete' | null;

export function SessionActions({ session, compact = false, onDeleted }: { session: Session; compact?: boolean; onDeleted?: () => void }) {
  const { t } = useWords();
  const [open, setOpen] = useState<Open>(null);
  const { busy, run } = useSend();
  const path = `/api/sessions/${session.id}`;
  const close = () => setOpen(null);
  const then = async (task: () => Promise<unknown>, after?: () => void) => {
    if (await run(task)) { close(); after?.(); }
  };
  const button = (action: Exclude<Open, null>, icon: 'stop' | 'edit' | 'trash') => (
    <button type="button" className={compact ? 'icon-button' : ''} title={t(`sessions.${action}`)}
      aria-label={`${t(`sessions.${action}`)}: ${session.session_name}`} onClick={() => setOpen(action)}>
      <Icon name={icon} />{!compact && t(`sessions.${action}`)}
    </button>
  );
  return (
    <>
      {session.status === 'active' && button('stop', 'stop')}
      {button('rename', 'edit')}
      {button('delete', 'trash')}
      {open === 'stop' && (
        <Dialog title={t('sessions.stopTitle', { name: session.session_name })} action={t('sessions.stop')} busy={busy} onClose={close}
          onSubmit={() => void then(() => send('PATCH', path, stopped(session)))}>
          <p>{t('sessions.stopText')}</p>
        </Dialog>
      )}
      {open === 'rename' && (
        <Dialog title={t('sessions.rename')} action={t('common.save')} busy={busy} onClose={close}
          onSubmit={(form) => void then(() => send('PATCH', path, { session_name: form.get('name') }))}>
          <Field label={t('sessions.name')}><input name="name" required maxLength={200} defaultValue={session.session_name} autoFocus /></Field>
        </Dialog>
      )}
      {open === 'delete' && (
        <Dialog title={t('sessions.deleteTitle', { name: session.session_name })} action={t('sessions.delete')} danger busy={busy} onClose={close}
          onSubmit={() => void then(() => send('DELETE', path), onDeleted)}>
          <p>{t('sessions.deleteText')}</p>
        </Dialog>
      )}
    </>
  );
}

function stopped(session: Session): object {
  const end = new Date();
  const seconds = Math.max(0, (end.getTime() - Date.parse(session.start_time)) / 1000);
  return { status: 'completed', end_time: end.toISOString(), duration_seconds: seconds };
}

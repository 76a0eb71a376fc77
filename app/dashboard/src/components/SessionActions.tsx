/** What an operator does with a session: stop, rename, delete. Stopping and deleting ask first, and can be taken back. */
import { useState } from 'react';
import { deleteSession, stopSession } from '../api/sessions';
import { send } from '../api/rest';
import type { Session } from '../feed/rows';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';
import { Sign } from './Sign';
import { useMay } from './Kiosk';
import { ACTION } from '../i18n/states';

type Action = 'stop' | 'rename' | 'delete';

export function SessionActions({
  session,
  compact = false,
  onDeleted,
}: {
  session: Session;
  compact?: boolean;
  onDeleted?: () => void;
}) {
  const { t } = useWords();
  const may = useMay();
  const [open, setOpen] = useState<Action | null>(null);
  const onClose = () => setOpen(null);
  const name = session.session_name;
  const button = (action: Action, icon: 'stop' | 'edit' | 'trash') => (
    <button
      type="button"
      className={compact ? 'icon-button' : ''}
      title={t(ACTION[action])}
      aria-label={`${t(ACTION[action])}: ${name}`}
      onClick={() => setOpen(action)}
    >
      <Sign name={icon} />
      {!compact && t(ACTION[action])}
    </button>
  );
  return (
    <>
      {may('operate') && session.status === 'active' && button('stop', 'stop')}
      {may('operate') && button('rename', 'edit')}
      {may('admin') && button('delete', 'trash')}
      {open === 'stop' && (
        <Dialog
          title={t('Stop {name}?', { name })}
          action={t('Stop')}
          onClose={onClose}
          onSubmit={() => stopSession(session)}
        >
          <p>{t('This marks the session as completed. It does not stop a camera that is still writing.')}</p>
        </Dialog>
      )}
      {open === 'rename' && (
        <Dialog
          title={t('Rename')}
          action={t('Save')}
          onClose={onClose}
          onSubmit={(form) => send('PATCH', `/api/sessions/${session.id}`, { session_name: form.get('name') })}
        >
          <Field label={t('Name')}>
            <input name="name" required maxLength={200} defaultValue={name} autoFocus />
          </Field>
        </Dialog>
      )}
      {open === 'delete' && (
        <Dialog
          title={t('Delete {name}?', { name })}
          action={t('Delete')}
          danger
          onClose={onClose}
          onSubmit={() => {
            deleteSession(session);
            onDeleted?.();
          }}
        >
          <p>{t('This also deletes its movements, readings, alerts and thresholds.')}</p>
        </Dialog>
      )}
    </>
  );
}

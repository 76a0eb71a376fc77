/** What an operator does with a session: stop, rename, delete. Stopping and deleting ask for confirmation. */
import { useState } from 'react';
import { send } from '../api/rest';
import type { Session } from '../feed/rows';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';
import { Icon } from './Icon';
import { ACTION } from '../i18n/names';

type Open = 'stop' | 'rename' | 'delete' | null;

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
  const [open, setOpen] = useState<Open>(null);
  const { busy, run } = useSend();
  const path = `/api/sessions/${session.id}`;
  const close = () => setOpen(null);
  const then = async (task: () => Promise<unknown>, after?: () => void) => {
    if (await run(task)) {
      close();
      after?.();
    }
  };
  const button = (action: Exclude<Open, null>, icon: 'stop' | 'edit' | 'trash') => (
    <button
      type="button"
      className={compact ? 'icon-button' : ''}
      title={t(ACTION[action])}
      aria-label={`${t(ACTION[action])}: ${session.session_name}`}
      onClick={() => setOpen(action)}
    >
      <Icon name={icon} />
      {!compact && t(ACTION[action])}
    </button>
  );
  return (
    <>
      {session.status === 'active' && button('stop', 'stop')}
      {button('rename', 'edit')}
      {button('delete', 'trash')}
      {open === 'stop' && (
        <Dialog
          title={t('Stop {name}?', { name: session.session_name })}
          action={t('Stop')}
          busy={busy}
          onClose={close}
          onSubmit={() => void then(() => send('POST', `${path}/stop`))}
        >
          <p>{t('This marks the session as completed. It does not stop a camera that is still writing.')}</p>
        </Dialog>
      )}
      {open === 'rename' && (
        <Dialog
          title={t('Rename')}
          action={t('Save')}
          busy={busy}
          onClose={close}
          onSubmit={(form) => void then(() => send('PATCH', path, { session_name: form.get('name') }))}
        >
          <Field label={t('Name')}>
            <input name="name" required maxLength={200} defaultValue={session.session_name} autoFocus />
          </Field>
        </Dialog>
      )}
      {open === 'delete' && (
        <Dialog
          title={t('Delete {name}?', { name: session.session_name })}
          action={t('Delete')}
          danger
          busy={busy}
          onClose={close}
          onSubmit={() => void then(() => send('DELETE', path), onDeleted)}
        >
          <p>{t('This also deletes its movements, readings, alerts and thresholds. It cannot be undone.')}</p>
        </Dialog>
      )}
    </>
  );
}

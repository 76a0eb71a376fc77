/**
 * Work on alerts: taking them in hand and muting them.
 *
 * Invariant: what undoes an action stands where the action stood, and is as wide, so nothing moves below the pointer.
 */
import { useState } from 'react';
import { changeNote, unmuteAlert } from '../api/alerts';
import type { Alert } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { part } from './part';

const load = () => import('./AlertDialogs');
const AcknowledgeDialog = part(() => load().then((file) => file.AcknowledgeDialog), null);
const NoteDialog = part(() => load().then((file) => file.NoteDialog), null);
const MuteDialog = part(() => load().then((file) => file.MuteDialog), null);

/** The buttons of one open alert, beside the one that resolves it; where there is little room, it cannot be muted. */
export function AlertWork({ alert, session, brief = false }: { alert: Alert; session: string; brief?: boolean }) {
  const { t } = useWords();
  const now = useNow();
  const { busy, run } = useSend();
  const [asking, setAsking] = useState<'acknowledge' | 'note' | 'mute' | null>(null);
  const name = `${alert.alert_message ?? alert.alert_type}, ${session}`;
  const onClose = () => setAsking(null);
  const taken = alert.acknowledged_at !== null;
  const muted = alert.muted_until !== null && Date.parse(alert.muted_until) > now;
  // A server of before has neither.
  if (alert.acknowledged_at === undefined) return null;
  return (
    <>
      <button
        type="button"
        aria-label={`${t(taken ? 'Edit note' : 'Acknowledge')}: ${name}`}
        onClick={() => setAsking(taken ? 'note' : 'acknowledge')}
      >
        <Widest text={t(taken ? 'Edit note' : 'Acknowledge')} of={[t('Edit note'), t('Acknowledge')]} />
      </button>
      {!brief && (
        <button
          type="button"
          aria-label={`${t(muted ? 'Unmute' : 'Mute')}: ${name}`}
          disabled={busy}
          onClick={() => (muted ? void run(() => unmuteAlert(alert)) : setAsking('mute'))}
        >
          <Widest text={t(muted ? 'Unmute' : 'Mute')} of={[t('Unmute'), t('Mute')]} />
        </button>
      )}
      {asking === 'acknowledge' && (
        <AcknowledgeDialog title={`${t('Acknowledge')}: ${name}`} ids={[alert.id]} onClose={onClose} />
      )}
      {asking === 'note' && (
        <NoteDialog
          title={`${t('Note')}: ${name}`}
          action={t('Save')}
          note={alert.note ?? ''}
          onSubmit={(note) => changeNote(alert, note)}
          onClose={onClose}
        />
      )}
      {asking === 'mute' && <MuteDialog title={`${t('Mute')}: ${name}`} ids={[alert.id]} onClose={onClose} />}
    </>
  );
}

/** A text that takes as much room as the widest of these. */
function Widest({ text, of }: { text: string; of: readonly string[] }) {
  return (
    <span className="widest">
      {of.map((one) => (
        <span key={one} className={one === text ? '' : 'hidden'} aria-hidden={one !== text}>
          {one}
        </span>
      ))}
    </span>
  );
}

/**
 * Work on alerts: taking them in hand and muting them.
 *
 * Invariant: what undoes an action stands where the action stood, and is as wide, so nothing moves below the pointer.
 */
import { useState } from 'react';
import {
  acknowledgeAlerts,
  changeNote,
  minutesUntilMorning,
  muteAlerts,
  unmuteAlert,
  WEEK_MINUTES,
} from '../api/alerts';
import type { Alert } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';

/** The buttons of one open alert, beside the one that resolves it. */
export function AlertWork({ alert, session }: { alert: Alert; session: string }) {
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
      <button
        type="button"
        aria-label={`${t(muted ? 'Unmute' : 'Mute')}: ${name}`}
        disabled={busy}
        onClick={() => (muted ? void run(() => unmuteAlert(alert)) : setAsking('mute'))}
      >
        <Widest text={t(muted ? 'Unmute' : 'Mute')} of={[t('Unmute'), t('Mute')]} />
      </button>
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

interface Asked {
  title: string;
  ids: readonly string[];
  onClose: () => void;
  onDone?: () => void;
}

/** Takes alerts in hand, with what somebody wants to say about it. */
export function AcknowledgeDialog({ title, ids, onClose, onDone }: Asked) {
  const { t } = useWords();
  return (
    <NoteDialog
      title={title}
      action={t('Acknowledge')}
      onSubmit={async (note) => {
        await acknowledgeAlerts(ids, note);
        onDone?.();
      }}
      onClose={onClose}
    />
  );
}

/** Mutes the kinds of alerts for as long as somebody chooses. */
export function MuteDialog({ title, ids, onClose, onDone }: Asked) {
  const { t, number, time } = useWords();
  const [morning] = useState(() => minutesUntilMorning(Date.now()));
  const options = [
    { minutes: 15, text: t('{n} min', { n: number(15) }) },
    { minutes: 60, text: t('{n} h', { n: number(1) }) },
    { minutes: 8 * 60, text: t('{n} h', { n: number(8) }) },
    { minutes: morning, text: t('until tomorrow, {time}', { time: time(new Date().setHours(6, 0, 0, 0)) }) },
    { minutes: WEEK_MINUTES, text: t('a week') },
  ];
  return (
    <Dialog
      title={title}
      action={t('Mute')}
      onClose={onClose}
      onSubmit={async (form) => {
        await muteAlerts(ids, Number(form.get('minutes')));
        onDone?.();
      }}
    >
      <p>{t('Until then nobody is told of this kind of alert of this session, also where it opens anew.')}</p>
      <fieldset className="durations">
        <legend className="unseen">{t('For how long')}</legend>
        {options.map(({ minutes, text }) => (
          <label key={text}>
            <input
              type="radio"
              name="minutes"
              value={minutes}
              defaultChecked={minutes === 60}
              autoFocus={minutes === 60}
            />
            {text}
          </label>
        ))}
      </fieldset>
    </Dialog>
  );
}

function NoteDialog({
  title,
  action,
  note = '',
  onSubmit,
  onClose,
}: {
  title: string;
  action: string;
  note?: string;
  onSubmit: (note: string) => Promise<void>;
  onClose: () => void;
}) {
  const { t } = useWords();
  return (
    <Dialog
      title={title}
      action={action}
      onClose={onClose}
      onSubmit={(form) => onSubmit(String(form.get('note')).trim())}
    >
      <Field label={t('Note, if you want')}>
        <input name="note" maxLength={500} defaultValue={note} autoFocus autoComplete="off" />
      </Field>
    </Dialog>
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

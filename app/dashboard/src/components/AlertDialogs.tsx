/** The dialogs of work on alerts, which load when the first is asked for: they and their styles are no part of the first page. */
import { useState } from 'react';
import { acknowledgeAlerts, minutesUntilMorning, muteAlerts, WEEK_MINUTES } from '../api/alerts';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';
import '../style/parts.css';
import '../style/pages.css';

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

/** Asks for what somebody says about an alert. */
export function NoteDialog({
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

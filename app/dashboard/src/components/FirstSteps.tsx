/** What an operator sees before any camera counts: how to send data. */
import { useState } from 'react';
import { useWords } from '../i18n/language';
import { Empty } from './Panel';
import '../style/parts.css';

const SQL = `insert into sessions (session_name, input_source)
values ('Main door', 'rtsp://camera-1') returning id;
insert into people_movements (session_id, person_id, movement_direction)
select id, 1, 'in' from sessions order by created_at desc limit 1;`;

export function FirstSteps() {
  const { t } = useWords();
  const [open, setOpen] = useState(false);
  return (
    <Empty icon="sessions">
      <h1>{t('No camera is counting yet')}</h1>
      <p>{t('A session appears here as soon as a program writes one, by REST or plain SQL.')}</p>
      {!open && (
        <button type="button" className="primary" onClick={() => setOpen(true)}>
          {t('Show how to send data')}
        </button>
      )}
      {open && (
        <div className="first-steps">
          <p>{t('Plausible traffic from four cameras, until you stop it:')}</p>
          <pre>./run flask simulate --sessions 4 --rate 20</pre>
          <p>{t('Real counts from a door, an hour per second:')}</p>
          <pre>./run flask replay CalIt2.data --speed 3600</pre>
          <p>{t('Or by hand, with any SQL client:')}</p>
          <pre>{SQL}</pre>
        </div>
      )}
    </Empty>
  );
}

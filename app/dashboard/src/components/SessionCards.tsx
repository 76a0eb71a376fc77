/** Active sessions: which camera, how many people are inside, and whether it still reports. */
import type { Latest, Reading } from '../plots/latest';
import type { Session } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useInside } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { at } from '../feed/mount';
import { follow } from '../router';
import { Sparkline } from './Sparkline';
import { Figure, Read } from './Total';

/** Cameras report about once a second; one that has not for this long is shown as quiet. */
const QUIET_MS = 15_000;

export function SessionCards({ sessions, latest }: { sessions: readonly Session[]; latest: Latest }) {
  return (
    <ul className="cards">
      {sessions.map((session) => (
        <Read key={session.id} id={session.id} reading={latest.get(session.id)}>
          {(id, reading) => <Card session={session} id={id} reading={reading} />}
        </Read>
      ))}
    </ul>
  );
}

function Card({ session, id, reading }: { session: Session; id: string | null; reading: Reading | undefined }) {
  const { t, number, ago } = useWords();
  const now = useNow();
  const metric = reading?.metric;
  const { inside, fresh, asOf, movedAt } = useInside(id, metric);
  const recent = metric && now - Date.parse(metric.timestamp) <= QUIET_MS;
  const signed = (sign: string, value: number | null) => (value === null ? '' : sign + number(value));
  const idle =
    asOf ??
    (recent
      ? undefined
      : movedAt
        ? ago(movedAt, now)
        : metric
          ? `${t('quiet')}, ${ago(metric.timestamp, now)}`
          : t('Waiting'));
  return (
    <li className={recent || movedAt ? 'card' : 'card quiet-card'}>
      <a href={at(`/sessions/${session.id}`)} onClick={follow}>
        <span className="card-name">{session.session_name}</span>
        <span className="card-source">{session.input_source ?? '\u00a0'}</span>
        <Figure className="card-count" value={inside} fresh={fresh} asOf={asOf} />
        <Sparkline values={reading?.counts ?? []} />
        <span className="card-foot">
          {idle || !metric ? (
            <span className="badge idle">{idle}</span>
          ) : (
            <>
              <span className="in">{signed('+', metric.people_entered_last_minute)}</span>
              <span className="out">{signed('−', metric.people_exited_last_minute)}</span>
              <span>{metric.fps_current === null ? '' : t('{n} fps', { n: number(metric.fps_current) })}</span>
            </>
          )}
        </span>
      </a>
    </li>
  );
}

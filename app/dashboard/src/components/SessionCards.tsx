/** Active sessions: which camera, how many people are inside, and whether it still reports. */
import { useSyncExternalStore } from 'react';
import { hiddenSessions } from '../api/actions';
import { QUIET_MS, type Latest, type Reading } from '../plots/latest';
import { shownSource, type Session } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useInside } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { Link } from './Kiosk';
import { Sparkline } from './Sparkline';
import { Figure } from './Total';

export function SessionCards({ sessions, latest }: { sessions: readonly Session[]; latest: Latest }) {
  const hidden = useSyncExternalStore(hiddenSessions.subscribe, hiddenSessions.get);
  return (
    <ul className="cards">
      {sessions
        .filter((session) => !hidden.has(session.id))
        .map((session) => (
          <Card key={session.id} session={session} reading={latest.get(session.id)} />
        ))}
    </ul>
  );
}

function Card({ session, reading }: { session: Session; reading: Reading | undefined }) {
  const { t, number, ago } = useWords();
  const now = useNow();
  const { inside, fresh, asOf, movedAt } = useInside(session.id, reading);
  const recent = reading && now - Date.parse(reading.takenAt) <= QUIET_MS;
  const signed = (sign: string, value: number | null) => (value === null ? '' : sign + number(value));
  const idle =
    asOf ??
    (recent
      ? undefined
      : movedAt
        ? ago(movedAt, now)
        : reading
          ? `${t('quiet')}, ${ago(reading.takenAt, now)}`
          : t('Waiting'));
  return (
    <li className={recent || movedAt ? 'card' : 'card quiet-card'}>
      <Link to={`/sessions/${session.id}`}>
        <span className="card-name">{session.session_name}</span>
        <span className="card-source">{shownSource(session) ?? '\u00a0'}</span>
        <Figure className="card-count" value={inside} fresh={fresh} asOf={asOf} />
        <Sparkline values={reading?.counts ?? []} />
        <span className="card-foot">
          {idle || !reading ? (
            <span className="badge idle">{idle}</span>
          ) : (
            <>
              <span className="in">{signed('+', reading.entered)}</span>
              <span className="out">{signed('−', reading.exited)}</span>
              <span>{reading.fps === null ? '' : t('{n} fps', { n: number(reading.fps) })}</span>
            </>
          )}
        </span>
      </Link>
    </li>
  );
}

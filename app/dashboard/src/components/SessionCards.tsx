/** Active sessions: which camera, how many people are inside, and whether it still reports. */
import type { Latest } from '../plots/latest';
import type { Session } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { follow } from '../router';
import { Sparkline } from './Sparkline';

/** Cameras report about once a second; one that has not for this long is shown as quiet. */
const QUIET_MS = 15_000;

export function SessionCards({ sessions, latest }: { sessions: readonly Session[]; latest: Latest }) {
  const { t, number, ago } = useWords();
  const now = useNow();
  const signed = (sign: string, value: number | null) => (value === null ? '' : sign + number(value));
  return (
    <ul className="cards">
      {sessions.map((session) => {
        const reading = latest.get(session.id);
        const metric = reading?.metric;
        const quiet = !metric || now - Date.parse(metric.timestamp) > QUIET_MS;
        return (
          <li key={session.id} className={quiet ? 'card quiet-card' : 'card'}>
            <a href={`/sessions/${session.id}`} onClick={follow}>
              <span className="card-name">{session.session_name}</span>
              <span className="card-source">{session.input_source ?? '\u00a0'}</span>
              <span className="card-count">{metric ? number(metric.current_people_count) : '–'}</span>
              <Sparkline values={reading?.counts ?? []} />
              <span className="card-foot">
                {quiet ? (
                  <span className="badge idle">
                    {metric ? `${t('quiet')}, ${ago(metric.timestamp, now)}` : t('Waiting')}
                  </span>
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
      })}
    </ul>
  );
}

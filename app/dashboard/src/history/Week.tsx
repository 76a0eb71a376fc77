/** A typical week: a table of weekdays and hours, each the darker the more people came, as the server's profile says. */
import { useState } from 'react';
import { Choice } from '../components/Choice';
import { Failed, Loading, Panel } from '../components/Panel';
import { datesOf } from '../i18n/dates';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import type { Range } from './range';
import { profilePath, type ProfileHour } from './read';
import { useHistory } from './useHistory';

const WEEK = 7 * 86_400_000;
/** The server's own default. */
const USUAL_WEEKS = 12;
/** A profile takes at most 10 000 hours. */
const MOST_WEEKS = 59;
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const WEEKDAYS = [1, 2, 3, 4, 5, 6, 7];
const SAID = { entered_mean: 'Entered', occupancy_mean: 'Inside' } as const satisfies Record<string, Key>;
type Figure = keyof typeof SAID;

export function Week({ range }: { range: Range }) {
  const { t, number, span, language } = useWords();
  const [figure, setFigure] = useState<Figure>('entered_mean');
  // Less than a week has no typical one; the weeks up to its end have.
  const length = range.to - range.from;
  const weeks = length < WEEK ? USUAL_WEEKS : Math.min(MOST_WEEKS, Math.floor(length / WEEK));
  const { found, error, waiting, retry } = useHistory<ProfileHour[], null>(
    [profilePath({ from: range.to - weeks * WEEK, to: range.to })],
    null,
  );
  const [profile] = found?.answers ?? [];
  const most = Math.max(1, ...(profile ?? []).map((one) => one[figure]));
  const byPlace = new Map(profile?.map((one) => [one.weekday * 24 + one.hour, one]));
  const { weekday } = datesOf(language);
  return (
    <Panel
      title={`${t('A typical week')} (${span(weeks * WEEK)})`}
      className={waiting && found ? 'week waiting' : 'week'}
      side={
        <Choice
          label={t('What the table shows')}
          value={figure}
          onChange={setFigure}
          options={(Object.keys(SAID) as Figure[]).map((value) => ({ value, text: t(SAID[value]) }))}
        />
      }
    >
      {error && <Failed error={error} retry={retry} />}
      {!profile && !error && <Loading lines={7} />}
      {profile && (
        <table>
          <caption className="quiet">
            {t(figure === 'entered_mean' ? 'People in per hour, on average' : 'People inside, on average')}
          </caption>
          <thead>
            <tr>
              <td />
              {HOURS.map((hour) => (
                <th key={hour} scope="col">
                  {hour}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {WEEKDAYS.map((day) => (
              <tr key={day}>
                <th scope="row">{weekday(day)}</th>
                {HOURS.map((hour) => {
                  const mean = byPlace.get(day * 24 + hour)?.[figure];
                  const said = mean === undefined ? '–' : number(mean, 1);
                  const share = mean === undefined ? 0 : Math.round((mean / most) * 85);
                  return (
                    <td
                      key={hour}
                      title={`${weekday(day)} ${hour}:00: ${said}`}
                      style={{ background: `color-mix(in srgb, var(--in) ${share}%, var(--raised))` }}
                    >
                      <span className="unseen">{said}</span>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

/**
 * Ticks: what the axes of charts say, for ranges of minutes to years.
 *
 * Invariant: no text stands twice beside itself, so none of a value that was rounded, and none of the hour that comes
 * twice when clocks change.
 */
import type { Dates } from '../i18n/dates';

const DAY = 86_400;

/** Steps between the values of an axis with this many digits: 1, 2, 5, 10 … */
export function valueSteps(digits: number): number[] {
  const steps: number[] = [];
  for (let power = -digits; power <= 15; power += 1)
    for (const factor of [1, 2, 5]) steps.push(Number(`${factor}e${power}`));
  return steps;
}

/** The texts of these times, `step` apart, on an axis that is `length` long; all in seconds. */
export function timeTexts(times: readonly number[], step: number, length: number, dates: Dates): string[] {
  const text = (at: number) => {
    if (step >= 300 * DAY) return dates.year(at);
    if (step >= 28 * DAY) return dates.month(at);
    if (step >= DAY) return dates.day(at);
    const moment = new Date(at);
    const isMidnight = moment.getHours() === 0 && moment.getMinutes() === 0 && moment.getSeconds() === 0;
    return length > DAY && isMidnight ? dates.day(at) : dates.time(at, step < 60);
  };
  const texts = times.map((time) => text(time * 1000));
  return texts.map((said, index) => (said === texts[index - 1] ? '' : said));
}

// @vitest-environment happy-dom
/** Ranges of time: what an address means, and what axes and lines make of it. */
import { expect, test } from 'vitest';
import { columnsOf } from '../src/history/columns';
import { bucketOf, chosenOf, hasWeekBefore, localText, pointsFor, rangeOf, weekBefore } from '../src/history/range';
import { flowPath, seriesPath, type Point } from '../src/history/read';
import { timeTexts, valueSteps } from '../src/history/ticks';
import { datesOf } from '../src/i18n/dates';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Friday, by the clock of the machine. */
const NOW = new Date(2026, 10, 27, 15, 30, 20).getTime();
const local = (...parts: [number, number, number, number?, number?]) => new Date(...parts).getTime();
const chosen = (query: string) => chosenOf(new URLSearchParams(query), 'live');
const rangeFor = (query: string) => rangeOf(chosen(query), new URLSearchParams(query), NOW);

test.each([
  ['range=1h', NOW - HOUR + 40_000, NOW + 40_000],
  ['range=today', local(2026, 10, 27), local(2026, 10, 27, 15, 31)],
  ['range=yesterday', local(2026, 10, 26), local(2026, 10, 27)],
  ['range=7d', local(2026, 10, 27, 15, 40) - 7 * DAY, local(2026, 10, 27, 15, 40)],
  ['range=1y', local(2025, 10, 27, 16), local(2026, 10, 27, 16)],
  ['from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z', Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 2)],
  ['from=2026-11-01T00:00:00Z', Date.UTC(2026, 10, 1), local(2026, 10, 27, 15, 31)],
])('%s is a range', (query, from, to) => {
  expect(rangeFor(query)).toEqual({ from, to });
});

test.each([
  '',
  'range=8d',
  'range=own',
  'range=session',
  'from=then',
  'from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z',
  'to=now',
])('an address that says "%s" chooses nothing', (query) => {
  expect(chosen(query)).toBe('live');
  expect(rangeFor(query)).toBeNull();
});

test('a session that has ended is shown for its own time, and never for none', () => {
  const query = new URLSearchParams();
  expect(chosenOf(query, 'session')).toBe('session');
  expect(rangeOf('session', query, NOW, { from: 1000, to: 1000 })).toEqual({ from: 1000, to: 61_000 });
});

test('a range that ends now moves in steps, not with each second', () => {
  const query = new URLSearchParams('range=30d');
  expect(rangeOf('30d', query, NOW + 10 * MINUTE)).toEqual(rangeOf('30d', query, NOW));
});

test('the week before has the same clock, and is another time', () => {
  const range = { from: local(2026, 10, 26, 8), to: local(2026, 10, 27, 8) };
  expect(weekBefore(range)).toEqual({ from: local(2026, 10, 19, 8), to: local(2026, 10, 20, 8) });
  expect(hasWeekBefore(range)).toBe(true);
  expect(hasWeekBefore({ from: 0, to: 30 * DAY })).toBe(false);
});

test.each([
  [HOUR, 'minute'],
  [DAY, 'hour'],
  [7 * DAY, 'hour'],
  [30 * DAY, 'day'],
  [365 * DAY, 'day'],
  [3650 * DAY, 'week'],
])('bars of %d ms are of one %s', (length, bucket) => {
  expect(bucketOf({ from: 0, to: length })).toBe(bucket);
});

test('requests have times in UTC, days of the zone, and points for the width', () => {
  const range = { from: 0, to: HOUR };
  expect(seriesPath('door', range, pointsFor(390))).toBe(
    '/api/metrics/series?session_id=door&from=1970-01-01T00%3A00%3A00.000Z&to=1970-01-01T01%3A00%3A00.000Z&points=150',
  );
  expect(flowPath(range, null)).toMatch(/^\/api\/analytics\/flow\?bucket=minute&tz=[^&]+&from=/);
  expect([pointsFor(820), pointsFor(1440), pointsFor(3840)]).toEqual([250, 500, 500]);
});

test('what is entered comes back as it was', () => {
  const at = local(2026, 10, 27, 15, 30);
  expect(localText(at)).toBe('2026-11-27T15:30');
  expect(new Date(localText(at)).getTime()).toBe(at);
});

const dates = datesOf('en');
const texts = (step: number, count: number, length = step * count) =>
  timeTexts(
    Array.from({ length: count }, (_, index) => local(2026, 10, 27) / 1000 + index * step),
    step,
    length,
    dates,
  );

test('an axis says times within a day, and dates beyond', () => {
  expect(texts(15 * 60, 2)).toEqual([
    dates.time(local(2026, 10, 27), false),
    dates.time(local(2026, 10, 27, 0, 15), false),
  ]);
  expect(texts(43_200, 4, 2 * 86_400)).toEqual([
    dates.day(local(2026, 10, 27)),
    dates.time(local(2026, 10, 27, 12), false),
    dates.day(local(2026, 10, 28)),
    dates.time(local(2026, 10, 28, 12), false),
  ]);
  expect(texts(86_400, 2, 30 * 86_400)[1]).toBe(dates.day(local(2026, 10, 28)));
  expect(texts(31 * 86_400, 2)[1]).toBe(dates.month(local(2026, 11, 28)));
  expect(texts(366 * 86_400, 2)[1]).toBe(dates.year(local(2027, 10, 28)));
});

test('no text stands twice beside itself', () => {
  expect(timeTexts([0, 0, 60], 60, 600, dates).filter((text) => text === dates.time(0, false))).toHaveLength(1);
  expect(Math.min(...valueSteps(0))).toBe(1);
  expect(Math.min(...valueSteps(1))).toBe(0.1);
});

const point = (minute: number, count: number) =>
  ({
    start: new Date(minute * MINUTE).toISOString(),
    readings: 1,
    current_people_count: { min: count - 1, mean: count, max: count + 1 },
  }) as Point;

test('a line goes on as its camera reports, and ends where it was silent', () => {
  const range = { from: 0, to: 100 * MINUTE };
  const points = [10, 20, 30, 80].map((minute) => point(minute, minute));
  const { data, spreads } = columnsOf(range, ['current_people_count'], { resolution: 'minutes', seconds: 60, points });
  expect(data[0].map((time) => time / 60)).toEqual([0, 10, 20, 30, 31, 80, 100]);
  expect(data[1]).toEqual([undefined, 10, 20, 30, null, 80, undefined]);
  expect(spreads[0]?.high).toEqual([undefined, 11, 21, 31, null, 81, undefined]);
});

test('the week before lies where this one is', () => {
  const range = { from: 7 * DAY, to: 7 * DAY + HOUR };
  const series = (points: Point[]) => ({ resolution: 'minutes' as const, seconds: 60, points });
  const week = 7 * 24 * 60;
  const { data } = columnsOf(range, ['current_people_count'], series([point(week + 1, 5), point(week + 2, 5)]), {
    range: { from: 0, to: HOUR },
    series: series([point(2, 9), point(3, 9)]),
  });
  expect(data[0].map((time) => time / 60 - week)).toEqual([0, 1, 2, 3, 60]);
  expect(data.slice(1)).toEqual([
    [undefined, 5, 5, undefined, undefined],
    [undefined, undefined, 9, 9, undefined],
  ]);
});

test('a line that has ended is not drawn on by the points of another', () => {
  const series = (...minutes: number[]) => ({
    resolution: 'minutes' as const,
    seconds: 60,
    points: minutes.map((minute) => point(minute, 5)),
  });
  const { data } = columnsOf({ from: 0, to: 12 * MINUTE }, ['current_people_count'], series(1, 2, 3, 10), {
    range: { from: 0, to: 12 * MINUTE },
    series: series(5, 6, 7),
  });
  expect(data[1]).toEqual([undefined, 5, 5, 5, null, null, null, null, 5, undefined]);
});

/** The plots of the dashboard: one answer of the server, and the stream from its cursor on. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Feed } from '../src/feed/feed';
import type { Change } from '../src/feed/protocol';
import { flowPlot, lastHour, MINUTE } from '../src/plots/flow';
import { latestPlot } from '../src/plots/latest';

const NOW = Date.parse('2026-11-26T12:00:30Z');
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

beforeEach(() => vi.useFakeTimers({ now: NOW }));
afterEach(() => vi.useRealTimers());

/** A feed whose server gives this answer, and the addresses that were asked for. */
function answering(body: unknown) {
  const asked: string[] = [];
  const read = async (path: string) => {
    asked.push(path);
    return { body, cursor: '9' };
  };
  return { asked, feed: { environment: { now: () => NOW }, read } as unknown as Feed };
}

function moved(action: string, seconds: number, movement_direction = 'in', old_data?: object) {
  return { topic: 'movements', action, data: { movement_time: at(seconds), movement_direction }, old_data } as Change;
}

test('the flow of the last hour is one answer, and follows the stream', async () => {
  const start = '2026-11-26T11:01:00+00:00';
  const { asked, feed } = answering([
    { start, entered: 20_000, exited: 7 },
    { start: '2026-11-26T12:00:00+00:00', entered: 3, exited: 1 },
    { start: '2026-11-26T12:01:00+00:00', entered: 5, exited: 0 },
  ]);
  const plot = flowPlot();
  const { value, cursor } = await plot.load(feed, new AbortController().signal);
  const query = new URL(asked[0]!, 'http://server').searchParams;
  expect([asked.length, cursor, query.get('bucket')]).toEqual([1, '9', 'minute']);
  expect([query.get('from'), query.get('to')]).toEqual(['2026-11-26T11:01:30.000Z', '2026-11-26T12:03:30.000Z']);
  const sums = (flow: typeof value, now = NOW) =>
    (['in', 'out'] as const).map((one) => lastHour(flow, now).reduce((all, minute) => all + minute[one], 0));
  expect(sums(value)).toEqual([20_003, 8]);
  expect(sums(value, NOW + MINUTE)).toEqual([8, 1]); // what clocks a little ahead sent, once it has come
  const old = { movement_time: at(-5), movement_direction: 'in' };
  const next = plot.apply(value, [
    moved('INSERT', -1),
    moved('INSERT', -1, 'out'),
    moved('DELETE', -10),
    moved('UPDATE', -5, 'out', old),
    moved('INSERT', 7 * 3600), // a clock that is far ahead costs no other minute
    moved('INSERT', -2 * 3600), // and what comes that late is of no minute shown
  ]);
  expect(sums(next)).toEqual([20_002, 10]);
});

test('the newest readings are one answer, and none of them is of a clock that is ahead', async () => {
  const door = { inside: 4, counts: [3, 4], entered_last_minute: 1, exited_last_minute: 0, fps: 25 };
  const { asked, feed } = answering([
    { ...door, session_id: 'reads', taken_at: at(-1), last_movement: null },
    { ...door, session_id: 'moves', taken_at: null, last_movement: at(-9) },
  ]);
  const plot = latestPlot();
  const { value } = await plot.load(feed, new AbortController().signal);
  expect([asked, [...value.keys()]]).toEqual([['/api/sessions/figures'], ['reads']]);
  const metric = (seconds: number, current_people_count: number) =>
    ({
      topic: 'metrics',
      action: 'INSERT',
      data: { session_id: 'reads', timestamp: at(seconds), current_people_count },
    }) as Change;
  const next = plot.apply(value, [metric(7 * 3600, 99), metric(0, 5), metric(-30, 77)]);
  expect(next.get('reads')).toMatchObject({ inside: 5, counts: [3, 4, 5] });
});

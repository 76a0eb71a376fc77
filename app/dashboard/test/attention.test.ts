// @vitest-environment happy-dom
/** Which alerts call for attention, and until when they can be muted. */
import { expect, test } from 'vitest';
import { minutesUntilMorning, WEEK_MINUTES } from '../src/api/alerts';
import type { Totals } from '../src/api/stats';
import { attentionOf, byAttention, waitingOf } from '../src/feed/attention';
import type { Alert } from '../src/feed/rows';

const NOW = Date.parse('2026-11-26T10:42:00Z');
const [BEFORE, LATER] = ['2026-11-26T10:00:00Z', '2026-11-26T11:00:00Z'];
const alert = (id: string, acknowledged_at: string | null, muted_until: string | null) =>
  ({ id, acknowledged_at, muted_until }) as Alert;

test('an alert is waiting unless somebody has it in hand or it is muted now', () => {
  const all = [
    alert('muted', null, LATER),
    alert('taken', BEFORE, null),
    alert('heard again', null, BEFORE),
    alert('taken and muted', BEFORE, LATER),
    { id: 'of a server of before' } as Alert,
    alert('new', null, null),
  ];
  expect(all.map((one) => attentionOf(one, NOW))).toEqual([
    'muted',
    'in-hand',
    'waiting',
    'in-hand',
    'waiting',
    'waiting',
  ]);
  expect(byAttention(all, NOW).map(({ id }) => id)).toEqual([
    'heard again',
    'of a server of before',
    'new',
    'taken',
    'taken and muted',
    'muted',
  ]);
});

test('of a server of before, every open alert is waiting', () => {
  const now = { open_alerts: 6 } as Totals['now'];
  expect(waitingOf({ now } as Totals)).toBe(6);
  expect(waitingOf({ now: { ...now, alerts_in_hand: 2, alerts_muted: 1 } } as Totals)).toBe(3);
});

test.each([
  [new Date(2026, 10, 26, 22, 0), 8 * 60],
  [new Date(2026, 10, 26, 0, 0), 30 * 60],
  [new Date(2026, 10, 26, 23, 59, 30), 6 * 60 + 1],
])('from %s it is %d minutes until the morning of tomorrow', (now, minutes) => {
  expect(minutesUntilMorning(now.getTime())).toBe(minutes);
  expect(minutes).toBeLessThan(WEEK_MINUTES);
});

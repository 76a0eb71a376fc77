// @vitest-environment happy-dom
/** Which session Live shows by itself, and what a session exports. */
import { expect, test } from 'vitest';
import { exportPath } from '../src/components/Export';
import { liveliest, type Latest, type Reading } from '../src/plots/latest';

const NOW = Date.parse('2026-11-27T12:00:00Z');
const sessions = ['newest', 'older', 'oldest'].map((id) => ({ id }));
const latest = (secondsAgo: Record<string, number>): Latest =>
  new Map(
    Object.entries(secondsAgo).map(([id, seconds]) => [
      id,
      { takenAt: new Date(NOW - seconds * 1000).toISOString() } as Reading,
    ]),
  );

test('the newest session that reports is the liveliest', () => {
  expect(liveliest(sessions, latest({ older: 1, oldest: 0 }), NOW)?.id).toBe('older');
});

test('where none reports, it is the one that did last, and else the newest', () => {
  expect(liveliest(sessions, latest({ older: 3600, oldest: 60 }), NOW)?.id).toBe('oldest');
  expect(liveliest(sessions, latest({}), NOW)?.id).toBe('newest');
  expect(liveliest([], latest({}), NOW)).toBeUndefined();
});

test('an export is of the range that is shown, or of the whole session', () => {
  expect(exportPath('s1', 'xlsx', null)).toBe('/api/movements/export?format=xlsx&session_id=s1');
  const query = new URLSearchParams(exportPath('s1', 'csv', { from: NOW, to: NOW + 60_000 }).split('?')[1]);
  expect([query.get('from'), query.get('to')]).toEqual(['2026-11-27T12:00:00.000Z', '2026-11-27T12:01:00.000Z']);
});

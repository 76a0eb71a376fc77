// @vitest-environment happy-dom
/** What is said of durations, of failures, and of many things at once. */
import { expect, test } from 'vitest';
import { stacked, type Toast } from '../src/browser/toasts';
import { RequestError } from '../src/feed/environment';
import { currentWords } from '../src/i18n/language';
import { sentenceOf } from '../src/i18n/refusals';

const HOUR = 3_600_000;

test.each([
  [59 * 60_000, '59 min'],
  [23.5 * HOUR, '23 h 30 min'],
  [26 * HOUR, '1 d 2 h'],
  [8760 * HOUR, '365 d'],
])('a duration of %d ms is %s', (milliseconds, said) => {
  expect(currentWords().span(milliseconds)).toBe(said);
});

test('a server that answered is not said to be out of reach', () => {
  expect(sentenceOf(new TypeError('Failed to fetch'), currentWords())).toBe('The server cannot be reached.');
  expect(sentenceOf(new RequestError(503, null, 'no'), currentWords())).toMatch(/^The server cannot answer now/);
  expect(sentenceOf(new Error('database_unavailable'), currentWords())).toBe('Database unavailable');
});

test('toasts of a kind are one, and what can be taken back is a kind of its own', () => {
  const alert = (id: number): Toast => ({ id, kind: 'alert', text: `alert ${id}` });
  const note: Toast = { id: 3, kind: 'note', text: 'Stopped', undo: () => {} };
  expect(stacked([alert(1), alert(2), note, alert(4)])).toEqual([
    { top: note, ids: [3] },
    { top: alert(4), ids: [1, 2, 4] },
  ]);
});

import { expect, test } from 'vitest';
import { earliest, isAtOrBefore, latest, parseCursor, type Cursor } from '../src/feed/cursor';

const cursor = (text: string) => parseCursor(text) as Cursor;

test.each(['0', '7', '4711', '9223372036854775807'])('%s is a cursor', (text) => {
  expect(parseCursor(text)).toBe(text);
});

test.each(['', '-1', '1.5', 'x', '007', '00', ' 7', '7\n', '1'.repeat(20), null, undefined, 7, {}])(
  '%j is none',
  (text) => {
    expect(parseCursor(text)).toBeNull();
  },
);

test('cursors are ordered as numbers are, to the last digit of a bigint', () => {
  const ordered = ['0', '9', '10', '99', '100', '9223372036854775806', '9223372036854775807'].map(cursor);
  for (const [index, one] of ordered.entries()) {
    for (const [at, other] of ordered.entries()) expect(isAtOrBefore(one, other)).toBe(index <= at);
  }
  const mixed = [cursor('100'), cursor('9'), cursor('99')];
  expect([earliest(mixed), latest(mixed)]).toEqual(['9', '100']);
  expect([earliest([]), latest([])]).toEqual([null, null]);
});

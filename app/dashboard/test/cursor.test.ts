import { expect, test } from 'vitest';
import { earliest, hasSeen, isAtOrBefore, parseCursor, together, type Cursor } from '../src/feed/cursor';

const cursor = (text: string) => parseCursor(text) as Cursor;

test.each(['0', '7', '4711', '9223372036854775807', '4711,4713,4715-4717'])('%s is a cursor', (text) => {
  expect(parseCursor(text)).toBe(text);
});

test.each([
  '',
  '-1',
  '1.5',
  'x',
  '007',
  '00',
  ' 7',
  '7\n',
  '1'.repeat(20),
  '1,',
  ',3',
  '1,3-',
  '1, 3',
  null,
  undefined,
  7,
  {},
])('%j is none', (text) => {
  expect(parseCursor(text)).toBeNull();
});

test('cursors are ordered as numbers are, to the last digit of a bigint', () => {
  const ordered = ['0', '9', '10', '99', '100', '9223372036854775806', '9223372036854775807'].map(cursor);
  for (const [index, one] of ordered.entries()) {
    for (const [at, other] of ordered.entries()) expect(isAtOrBefore(one, other)).toBe(index <= at);
  }
  const mixed = [cursor('100'), cursor('9'), cursor('99')];
  expect([earliest(mixed), together(mixed)]).toEqual(['9', '100']);
  expect([earliest([]), together([])]).toEqual([null, null]);
});

const IDS = [1, 2, 3, 4, 5, 6];

test('a cursor is the set of what was seen', () => {
  // Each set as the bits of a number.
  const texts = Array.from({ length: 64 }, (_, set) =>
    IDS.filter((id) => set & (1 << (id - 1))).reduce((text, id) => together([text, cursor(`0,${id}`)]), cursor('0')),
  );
  expect(new Set(texts).size).toBe(64);
  expect(together([cursor('1,3-4'), cursor('2,6')])).toBe('4,6');
  for (const [set, text] of texts.entries()) {
    expect(parseCursor(text)).toBe(text);
    for (const id of IDS) expect(hasSeen(text, id)).toBe((set & (1 << (id - 1))) !== 0);
    for (const [other, its] of texts.entries()) {
      expect(isAtOrBefore(text, its)).toBe((set & other) === set);
      expect(together([text, its])).toBe(texts[set | other]);
      expect(earliest([text, its])).toBe(texts[set & other]);
    }
  }
});

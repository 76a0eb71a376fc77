import { expect, test } from 'vitest';
import { parseMessage } from '../src/feed/protocol';

const connection = (cursor: unknown) =>
  parseMessage(
    JSON.stringify({ type: 'connection', data: { topics: ['alerts'], cursor, status: 'live' }, timestamp: '' }),
  );

test('the cursor of a connection is kept as it came', () => {
  const cursor = '9223372036854775807'; // a number would round it
  expect(connection(cursor)).toMatchObject({ type: 'connection', data: { cursor } });
});

test.each([4711, null, undefined, '', '4 711'])('a connection with the cursor %j is malformed', (cursor) => {
  expect(connection(cursor)).toBeNull();
});

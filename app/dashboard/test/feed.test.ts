import { expect, test } from 'vitest';
import type { Environment } from '../src/feed/environment';
import { Feed } from '../src/feed/feed';
import { Stream, type StreamState } from '../src/feed/stream';
import { chance } from './chance';
import { World } from './world';

test('a list without a cursor is an error that says so', async () => {
  const environment: Environment = new World(chance(1)).openTab();
  environment.getJson = async () => ({ body: { items: [], next: null }, cursor: null });
  const read = new Feed(environment).read('/api/sessions', new AbortController().signal);
  await expect(read).rejects.toThrow('/api/sessions answered without a cursor in Last-Event-ID');
});

test.each([15, 60, 300])(
  'a server that beats every %d s is not taken for dead, and one that stops is',
  async (seconds) => {
    const world = new World(chance(1), seconds);
    const states: StreamState[] = [];
    const options = { base: '', reconnectMs: 5000, staleMs: 45_000 };
    const stream = new Stream(world.openTab(), options, { message: () => {}, state: (state) => states.push(state) });
    stream.open({ topics: ['alerts'], sessionId: null }, null);
    await world.clock.advance(20 * seconds * 1000);
    expect([stream.state.status, stream.state.losses]).toEqual(['live', 0]);
    world.connections.clear(); // it falls silent without closing
    await world.clock.advance(Math.max(45, 3 * seconds) * 1000 + 1000);
    expect(states.at(-1)?.losses).toBe(1);
  },
);

/** A consumer that throws: all others get all rows, and its exception is reported. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Feed } from '../src/feed/feed';
import { listOf } from '../src/feed/list';
import type { Change } from '../src/feed/protocol';
import { Replica } from '../src/feed/replica';
import { calm } from './chance';
import { World } from './world';

const reported: string[] = [];
beforeEach(() => {
  reported.length = 0;
  vi.stubGlobal('reportError', (error: Error) => reported.push(error.message));
});
afterEach(() => vi.unstubAllGlobals());

const fail = (who: string) => () => {
  throw new Error(who);
};

/** Read every change of `movements`, as useSSE does. */
function listen(feed: Feed, change: (change: Change) => void, notice = () => {}): void {
  const reader = feed.attach(['movements'], null, { change, notice, reset: () => reader.ready(null) });
  reader.ready(null);
  feed.declare(reader);
}

test('a consumer that throws costs no other reader a row, in any tab', async () => {
  const world = new World(calm());
  const heard: number[][] = [[], [], []];
  for (const rows of heard) {
    const feed = new Feed(world.openTab());
    listen(feed, fail('first change'), fail('first notice'));
    feed.hearAll(fail('hearAll'));
    feed.watch(fail('watch'));
    listen(feed, (change) => rows.push(change.id));
    listen(feed, fail('last change'));
  }
  await world.clock.advance(2000);
  for (let row = 0; row < 5; row += 1) world.commit('movements', 'INSERT');
  await world.clock.advance(2000);
  const ids = world.log.map((change) => change.id);
  expect(ids.length).toBe(5);
  expect(heard).toEqual([ids, ids, ids]);
  expect(new Set(reported)).toEqual(new Set(['first change', 'first notice', 'hearAll', 'watch', 'last change']));
});

test('a listener of a replica that throws keeps neither the replica nor its other listeners from the rows', async () => {
  const world = new World(calm());
  const feed = new Feed(world.openTab());
  const replica = new Replica(feed, listOf('movements'));
  let shown = 0;
  replica.subscribe(fail('listener'));
  replica.subscribe(() => (shown = replica.get().value?.rows.length ?? 0));
  await world.clock.advance(2000);
  for (let row = 0; row < 5; row += 1) world.commit('movements', 'INSERT');
  await world.clock.advance(2000);
  expect(shown).toBe(5);
  expect(new Set(reported)).toEqual(new Set(['listener']));
});

test('a plot that throws is reported, read again and not asked more than once for it', async () => {
  const world = new World(calm());
  const feed = new Feed(world.openTab());
  let failures = 1;
  let loads = 0;
  const list = listOf('movements');
  const replica = new Replica(feed, {
    ...list,
    load: (source, signal) => {
      loads += 1;
      if (loads === 1) throw new Error('load');
      return list.load(source, signal);
    },
    apply: (value, changes) => (failures-- > 0 ? fail('apply')() : list.apply(value, changes)),
  });
  const other = new Replica(feed, list);
  replica.subscribe(() => {});
  other.subscribe(() => {});
  await world.clock.advance(5000);
  expect([loads, replica.get().error]).toEqual([2, null]);
  for (let row = 0; row < 5; row += 1) {
    world.commit('movements', 'INSERT');
    await world.clock.advance(100);
  }
  await world.clock.advance(20_000);
  expect(replica.get().value?.rows.length).toBe(5);
  expect(other.get().value?.rows.length).toBe(5);
  expect([loads, reported]).toEqual([3, ['apply']]);
});

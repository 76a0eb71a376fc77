/** The back/forward cache: a page that the browser keeps lets the others go on, and misses nothing when it is back. */
import { expect, test } from 'vitest';
import { Feed } from '../src/feed/feed';
import { calm } from './chance';
import { World, type TabEnvironment } from './world';

interface Tab {
  environment: TabEnvironment;
  feed: Feed;
  heard: number[];
}

/** A tab that hears every movement from now on, without a snapshot that could repair anything. */
function open(world: World): Tab {
  const environment = world.openTab();
  const feed = new Feed(environment);
  const heard: number[] = [];
  const reader = feed.attach(['movements'], null, {
    change: (change) => heard.push(change.id),
    reset: () => reader.ready(null),
  });
  reader.ready(null);
  feed.declare(reader);
  return { environment, feed, heard };
}

async function write(world: World): Promise<void> {
  for (let row = 0; row < 20; row += 1) {
    world.commit('movements', 'INSERT');
    await world.clock.advance(100);
  }
}

test.each(['leads', 'follows'])('a page that %s is kept and shown again: no row is lost or repeated', async (role) => {
  const world = new World(calm());
  const tabs = [open(world)];
  await world.clock.advance(1000);
  for (let more = 0; more < 2; more += 1) tabs.push(open(world));
  await world.clock.advance(1000);
  const kept = tabs.find(({ feed }) => feed.leading === (role === 'leads'))!;
  const others = tabs.filter((tab) => tab !== kept);
  await write(world);
  kept.environment.leave();
  await world.clock.advance(500);
  expect(others.map(({ feed }) => feed.state.status)).toEqual(['live', 'live']);
  const soFar = world.log.length;
  await write(world);
  const ids = () => world.log.map((change) => change.id);
  expect(others.map(({ heard }) => heard)).toEqual([ids(), ids()]); // at once, not after a minute
  expect(kept.heard).toEqual(ids().slice(0, soFar));
  kept.environment.comeBack();
  await write(world);
  expect(tabs.map(({ heard }) => heard)).toEqual([ids(), ids(), ids()]);
  expect(world.connections.size).toBe(1);
});

test('pages that come back one after another lose and repeat nothing', async () => {
  const world = new World(calm());
  const tabs = [open(world), open(world), open(world)];
  await world.clock.advance(1000);
  await write(world);
  for (const tab of tabs) {
    tab.environment.leave();
    await write(world);
  }
  expect(world.connections.size).toBe(0);
  for (const tab of tabs) {
    tab.environment.comeBack();
    await write(world);
  }
  const ids = world.log.map((change) => change.id);
  expect(tabs.map(({ heard }) => heard)).toEqual([ids, ids, ids]);
  expect(world.connections.size).toBe(1);
});

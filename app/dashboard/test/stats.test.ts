import { expect, test } from 'vitest';
import { Stats, type SessionTotals, type Totals } from '../src/api/stats';
import { Feed } from '../src/feed/feed';
import { calm } from './chance';
import { World } from './world';

/** A page whose server answers with `totals`, or fails while there are none. */
function open(hidden = false) {
  const world = new World(() => 0.5); // nothing fails by chance
  const environment = world.openTab();
  environment.hidden = hidden;
  const server = {
    totals: totalsWith(0) as Totals | null,
    hangs: false,
    takes: 0,
    asked: [] as { url: string; at: number }[],
  };
  environment.getJson = (url: string) => {
    server.asked.push({ url, at: world.clock.now });
    if (server.hangs) return new Promise(() => {});
    if (!server.totals) return Promise.reject(new Error('503'));
    const body = server.totals; // as of now, however long the answer takes
    return new Promise((resolve) => world.clock.later(server.takes, () => resolve({ body, cursor: null as never })));
  };
  const stats = new Stats(new Feed(environment), 'Asia/Ho_Chi_Minh');
  const stop = stats.subscribe(() => {});
  return { world, environment, server, stats, stop };
}

function totalsWith(open_alerts: number): Totals {
  return {
    today: { entered: 5, exited: 2, peak: 4 },
    now: { inside: 3, active_sessions: 1, silent_sessions: 0, inside_silent: 0, ahead_sessions: 0, open_alerts },
  };
}

test('the totals are those of the server, in the zone of the browser', async () => {
  const { world, server, stats } = open();
  server.totals = totalsWith(2000);
  await world.clock.advance(3000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(2000), live: true, fresh: true });
  expect(server.asked[0]?.url).toBe('/api/stats?tz=Asia%2FHo_Chi_Minh');
});

test('the totals are asked for before the stream is there, and again once it is', async () => {
  const { world, server, stats } = open();
  await world.clock.advance(1);
  expect(server.asked.length).toBe(1);
  expect(stats.get()).toMatchObject({ totals: totalsWith(0), live: true, fresh: true });
  server.totals = totalsWith(2); // nothing tells what changes until the stream is there
  await world.clock.advance(3000);
  expect(server.asked.length).toBe(2);
  expect(stats.get().totals).toEqual(totalsWith(2));
});

test('without a stream the first totals are soon known not to be those of now', async () => {
  const { world, environment, stats } = open();
  environment.openSource = () => () => {};
  await world.clock.advance(60_000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(0), live: false, fresh: false });
});

test('nothing is asked while nothing changes, until midnight', async () => {
  const { world, server } = open();
  await world.clock.advance(5000);
  const before = server.asked.length;
  const midnight = new Date(world.clock.now).setHours(24, 0, 0, 0);
  await world.clock.advance(midnight - world.clock.now);
  expect(server.asked.length).toBe(before);
  await world.clock.advance(3_600_000);
  expect(server.asked.length).toBe(before + 1);
});

test('the end of a mute is asked for, for no change tells of it', async () => {
  const { world, server, stats } = open();
  const { today, now } = totalsWith(1);
  server.totals = { today, now: { ...now, alerts_muted: 1, mute_ends_seconds: 900 } };
  await world.clock.advance(5000);
  const before = server.asked.length;
  server.totals = totalsWith(1);
  await world.clock.advance(890_000);
  expect(server.asked.length).toBe(before);
  await world.clock.advance(3_600_000);
  expect(server.asked.length).toBe(before + 1);
  expect(stats.get().totals).toEqual(totalsWith(1));
});

test.each(['sessions', 'movements', 'alerts', 'metrics'] as const)(
  'a change of %s is asked for once',
  async (topic) => {
    const { world, server, stats } = open();
    await world.clock.advance(5000);
    const before = server.asked.length;
    server.totals = totalsWith(1);
    world.commit(topic, 'INSERT');
    await world.clock.advance(60_000);
    expect(server.asked.length).toBe(before + 1);
    expect(stats.get().totals).toEqual(totalsWith(1));
  },
);

test('a storm of changes asks at most once a second, and last of all once it is over', async () => {
  const { world, server, stats } = open();
  await world.clock.advance(5000);
  const before = server.asked.length;
  for (let step = 0; step < 1000; step += 1) {
    world.commit('metrics', 'INSERT');
    await world.clock.advance(10);
  }
  server.totals = totalsWith(7);
  await world.clock.advance(2000);
  const times = server.asked.map(({ at }) => at);
  expect(server.asked.length - before).toBeGreaterThan(8);
  for (const [index, at] of times.entries()) if (index > 0) expect(at - times[index - 1]!).toBeGreaterThanOrEqual(1000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(7), fresh: true });
});

test('a change during a read is read after it', async () => {
  const { world, server, stats } = open();
  await world.clock.advance(5000);
  server.takes = 3000;
  world.commit('alerts', 'INSERT');
  await world.clock.advance(1000);
  server.totals = totalsWith(2);
  world.commit('alerts', 'INSERT');
  await world.clock.advance(20_000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(2), fresh: true });
});

test('nothing is known of a server that has not answered', async () => {
  const { world, server, stats } = open();
  server.totals = null;
  await world.clock.advance(20_000);
  expect(stats.get()).toMatchObject({ totals: null, live: true, fresh: false });
  server.totals = totalsWith(3);
  await world.clock.advance(60_000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(3), fresh: true });
});

test('a read that fails or hangs leaves the last totals, with their time', async () => {
  const { world, server, stats } = open();
  await world.clock.advance(5000);
  const { at } = stats.get();
  server.totals = null;
  world.commit('alerts', 'INSERT');
  await world.clock.advance(500);
  expect(stats.get()).toEqual({ totals: totalsWith(0), at, live: true, fresh: false });
  server.totals = totalsWith(1);
  await world.clock.advance(60_000);
  expect(stats.get().fresh).toBe(true);
  server.hangs = true;
  world.commit('alerts', 'INSERT');
  await world.clock.advance(15_000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(1), fresh: false });
});

test('without the stream the totals are not those of now, and are read again once it is back', async () => {
  const { world, server, stats } = open();
  await world.clock.advance(5000);
  world.stop();
  await world.clock.advance(1000);
  expect(stats.get()).toMatchObject({ totals: totalsWith(0), live: false, fresh: false });
  server.totals = totalsWith(9);
  world.up = true;
  const seen: string[] = [];
  stats.subscribe(() => {
    const { fresh, totals } = stats.get();
    if (fresh) seen.push(`${totals?.now.open_alerts}`);
  });
  await world.clock.advance(60_000);
  expect([...new Set(seen)]).toEqual(['9']);
  expect(stats.get()).toMatchObject({ totals: totalsWith(9), live: true, fresh: true });
});

test('components share the requests, and the last one to leave ends them', async () => {
  const { world, server, stats, stop } = open();
  const stopSecond = stats.subscribe(() => {});
  await world.clock.advance(5000);
  const shared = server.asked.length;
  expect(shared).toBeLessThanOrEqual(2); // once the stream is live, or a little before it and then again
  stop();
  world.commit('alerts', 'INSERT');
  await world.clock.advance(5000);
  expect(server.asked.length).toBe(shared + 1);
  stopSecond();
  world.commit('alerts', 'INSERT');
  await world.clock.advance(60_000);
  expect(server.asked.length).toBe(shared + 1);
  expect(world.connections.size).toBe(0);
});

test('a hidden page asks nothing, and asks at once when it is seen again', async () => {
  const { world, environment, server, stats } = open();
  await world.clock.advance(5000);
  const before = server.asked.length;
  environment.hide(true);
  await world.clock.advance(60_000);
  expect(stats.get().fresh).toBe(true); // nothing has changed
  for (let row = 0; row < 100; row += 1) {
    world.commit('metrics', 'INSERT');
    await world.clock.advance(1000);
  }
  await world.clock.advance(86_400_000);
  expect(server.asked.length).toBe(before);
  expect(stats.get()).toMatchObject({ totals: totalsWith(0), live: true, fresh: false });
  server.totals = totalsWith(8);
  environment.hide(false);
  await world.clock.advance(1);
  expect(server.asked.length).toBe(before + 1);
  expect(stats.get()).toMatchObject({ totals: totalsWith(8), fresh: true });
  environment.hide(true);
  environment.hide(false);
  await world.clock.advance(10_000);
  expect(server.asked.length).toBe(before + 1); // nothing has changed since
});

test('a page that opens hidden asks when it is first seen', async () => {
  const { world, environment, server, stats } = open(true);
  await world.clock.advance(60_000);
  expect(server.asked).toEqual([]);
  environment.hide(false);
  await world.clock.advance(1000);
  expect(server.asked.length).toBe(1);
  expect(stats.get().fresh).toBe(true);
});

test('a session has statistics of its own, and those of many share ten requests a second', async () => {
  const world = new World(calm());
  const environment = world.openTab();
  const asked: string[] = [];
  environment.getJson = async (url: string) => {
    asked.push(url);
    return { body: { inside: 3 }, cursor: null as never };
  };
  const feed = new Feed(environment);
  const session = (number: number) =>
    new Stats<SessionTotals>(feed, 'UTC', `sessions/session${number}/statistics`, `session${number}`, ['movements']);
  const stats = Array.from({ length: 50 }, (_, index) => session(index % 3));
  const stops = stats.map((one) => one.subscribe(() => {}));
  await world.clock.advance(30_000);
  expect(asked[0]).toBe('/api/sessions/session0/statistics?tz=UTC');
  expect(stats[0]?.get()).toMatchObject({ totals: { inside: 3 }, fresh: true });
  asked.length = 0;
  world.commit('alerts', 'INSERT');
  await world.clock.advance(10_000);
  expect(asked).toEqual([]); // nobody has moved
  for (let step = 0; step < 1000; step += 1) {
    world.commit('movements', 'INSERT');
    await world.clock.advance(20);
  }
  expect(asked.length).toBeGreaterThan(50);
  expect(asked.length).toBeLessThanOrEqual(20 * 10 + 50);
  for (const stop of stops) stop();
  expect(feed.state.status).toBe('closed');
});

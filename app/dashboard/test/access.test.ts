/** When access ends: nothing is hammered, every tab knows, and after signing in nothing is missing and nothing twice. */
import { afterEach, expect, test, vi } from 'vitest';
import { Access } from '../src/feed/access';
import { browser, RequestError } from '../src/feed/environment';
import { Feed } from '../src/feed/feed';
import { listOf } from '../src/feed/list';
import { Replica } from '../src/feed/replica';
import { Stats } from '../src/api/stats';
import { calm } from './chance';
import { World } from './world';

const MINUTE = 60_000;

afterEach(() => vi.unstubAllGlobals());

/** A tab that hears every movement from now on, without a snapshot that could repair anything. */
function open(world: World) {
  const environment = world.openTab();
  const feed = new Feed(environment);
  const heard: number[] = [];
  const errors: string[] = [];
  const reader = feed.attach(['movements'], null, {
    change: (change) => heard.push(change.id),
    reset: () => reader.ready(null),
    notice: (message) => {
      if (message.type === 'error') errors.push(message.error);
    },
  });
  reader.ready(null);
  feed.declare(reader);
  return { environment, feed, heard, errors };
}

async function openTabs(count: number) {
  const world = new World(calm());
  const tabs = [open(world)];
  await world.clock.advance(1000);
  while (tabs.length < count) tabs.push(open(world));
  await world.clock.advance(1000);
  return { world, tabs };
}

async function write(world: World): Promise<void> {
  for (let row = 0; row < 10; row += 1) {
    world.commit('movements', 'INSERT');
    await world.clock.advance(100);
  }
}

const statuses = (tabs: readonly { feed: Feed }[]) => tabs.map(({ feed }) => feed.state.status);

test('a login that ends is heard in every tab, and resumed in every tab after the next one', async () => {
  const { world, tabs } = await openTabs(3);
  await write(world);
  world.endAccess('access_ended');
  await world.clock.advance(1000);
  expect(tabs.map(({ feed }) => [feed.state.status, feed.state.reason])).toEqual(
    Array(3).fill(['signed-out', 'access_ended']),
  );
  expect(tabs.map(({ errors }) => errors)).toEqual(Array(3).fill(['access_ended']));
  expect(tabs.map(({ feed }) => feed.state.losses)).toEqual([1, 1, 1]);
  const { tried, asked } = world;
  const before = asked['/api/me']!;
  await write(world);
  await world.clock.advance(10 * MINUTE);
  expect(world.tried).toBe(tried);
  expect(asked['/api/me']! - before).toBeLessThanOrEqual(20);
  expect(asked['/api/me']! - before).toBeGreaterThanOrEqual(5);
  expect(tabs.filter(({ feed }) => feed.leading).length).toBe(1);
  world.signedOut = null;
  tabs.find(({ feed }) => !feed.leading)!.feed.retry();
  await world.clock.advance(500);
  await write(world);
  const ids = world.log.map((change) => change.id);
  expect(tabs.map(({ heard }) => heard)).toEqual([ids, ids, ids]);
  expect(tabs.map(({ feed }) => [feed.state.status, feed.state.reason, feed.state.error])).toEqual(
    Array(3).fill(['live', null, null]),
  );
});

test('without a word from the server, a connection that is refused is known to be', async () => {
  const { world, tabs } = await openTabs(2);
  const access = new Access(tabs[1]!.feed);
  access.subscribe(() => {});
  world.signedOut = 'login_required';
  for (const one of [...world.connections]) one.fail();
  await world.clock.advance(1000);
  expect(tabs.map(({ feed }) => feed.state.reason)).toEqual(['login_required', 'login_required']);
  expect(access.get().me).toBeNull();
  world.signedOut = null;
  await world.clock.advance(MINUTE);
  expect(access.get().me?.name).toBe('ada');
});

test('the server’s word is enough, whether the connection closes or not', async () => {
  const { world, tabs } = await openTabs(2);
  world.signedOut = 'access_ended';
  for (const one of world.connections)
    one.send(JSON.stringify({ type: 'error', error: 'access_ended', message: '', timestamp: '' }), null);
  await world.clock.advance(1000);
  expect(statuses(tabs)).toEqual(['signed-out', 'signed-out']);
  expect(world.connections.size).toBe(0);
});

test('a tab that takes over from one that is signed out finds out for itself, and its snapshots do not wait for ever', async () => {
  const world = new World(calm());
  world.signedOut = 'login_required';
  const tabs = [0, 1].map(() => {
    const environment = world.openTab();
    const replica = new Replica(new Feed(environment), listOf('movements'));
    replica.subscribe(() => {});
    return { environment, replica };
  });
  await world.clock.advance(5000);
  world.signedOut = null;
  tabs[0]!.environment.crash();
  await world.clock.advance(2000);
  expect(tabs[1]!.replica.get()).toMatchObject({ loading: false, error: null });
});

test('what is refused to a tab that follows is known to all', async () => {
  const { world, tabs } = await openTabs(2);
  world.signedOut = 'access_ended'; // the stream has not heard of it
  const { feed } = tabs.find((tab) => !tab.feed.leading)!;
  void feed.read('/api/movements?limit=1', new AbortController().signal).catch(() => {});
  await world.clock.advance(1000);
  expect(statuses(tabs)).toEqual(['signed-out', 'signed-out']);
});

test('who hears without a snapshot is served after the login, however long others load theirs', async () => {
  const world = new World(calm());
  world.signedOut = 'login_required';
  const { feed, heard } = open(world);
  feed.attach(['alerts'], null, { change: () => {}, reset: () => {} });
  void feed.read('/api/alerts?limit=1', new AbortController().signal).catch(() => {});
  await world.clock.advance(3000);
  expect([feed.state.status, world.tried]).toEqual(['signed-out', 0]);
  world.signedOut = null;
  feed.retry();
  await world.clock.advance(1000);
  await write(world);
  expect(heard).toEqual(world.log.map((change) => change.id));
});

test('who looks at the page again learns at once that somebody signed in', async () => {
  const { world, tabs } = await openTabs(2);
  world.endAccess('login_required');
  await world.clock.advance(1000);
  world.signedOut = null;
  await world.clock.advance(1000);
  expect(statuses(tabs)).toEqual(['signed-out', 'signed-out']);
  tabs.find(({ feed }) => !feed.leading)!.environment.hide(false);
  await world.clock.advance(500);
  expect(statuses(tabs)).toEqual(['live', 'live']);
});

test('where nobody looks, the stream is back within a minute', async () => {
  const { world, tabs } = await openTabs(2);
  world.endAccess('login_required');
  await world.clock.advance(1000);
  world.signedOut = null;
  await world.clock.advance(MINUTE);
  expect(statuses(tabs)).toEqual(['live', 'live']);
});

test('who may still read reconnects, and is signed out at no moment', async () => {
  const { world, tabs } = await openTabs(1);
  const seen = new Set<string>();
  tabs[0]!.feed.watch(() => seen.add(tabs[0]!.feed.state.status));
  world.endAccess(null);
  await world.clock.advance(3000);
  expect(tabs[0]!.feed.state).toMatchObject({ status: 'live', error: null });
  expect(seen).toEqual(new Set(['live', 'reconnecting']));
});

test('a server that is away is asked at most once for each attempt, and nobody is signed out', async () => {
  const { world, tabs } = await openTabs(2);
  const { tried, asked } = world;
  const before = asked['/api/me'] ?? 0;
  world.stop();
  await world.clock.advance(5 * MINUTE);
  expect(statuses(tabs)).toEqual(['reconnecting', 'reconnecting']);
  expect(asked['/api/me']! - before).toBeLessThanOrEqual(world.tried - tried + 1);
});

test('an answer from before the connection was live signs nobody out', async () => {
  const { world, tabs } = await openTabs(1);
  const [{ environment, feed }] = tabs as [ReturnType<typeof open>];
  let refuse = (_: Error) => {};
  environment.getJson = () => new Promise((_, reject) => (refuse = reject));
  for (const one of [...world.connections]) one.fail();
  await world.clock.advance(5000);
  expect(feed.state.status).toBe('live');
  refuse(new RequestError(401, {}, ''));
  await world.clock.advance(100);
  expect(feed.state.status).toBe('live');
});

test.each([1, 3])('in %d tabs that open signed out, snapshots wait for the login', async (count) => {
  const world = new World(calm());
  for (let row = 0; row < 5; row += 1) world.commit('movements', 'INSERT');
  world.signedOut = 'setup_required';
  const tabs = Array.from({ length: count }, () => {
    const feed = new Feed(world.openTab());
    const replica = new Replica(feed, listOf('movements'));
    replica.subscribe(() => {});
    return { feed, replica };
  });
  await world.clock.advance(3000);
  expect(tabs.map(({ feed }) => feed.state.reason)).toEqual(Array(count).fill('setup_required'));
  expect(tabs[0]!.replica.get().error?.message).toBe('Sign in.');
  const before = world.asked['/api/movements']!;
  await world.clock.advance(10 * MINUTE);
  expect(world.asked['/api/movements']).toBe(before);
  expect(world.tried).toBe(0);
  world.signedOut = null;
  tabs[0]!.feed.retry();
  await world.clock.advance(2000);
  world.commit('movements', 'INSERT');
  await world.clock.advance(1000);
  expect(tabs.map(({ replica }) => [replica.get().value?.rows.length, replica.get().error])).toEqual(
    Array(count).fill([6, null]),
  );
  expect(world.connections.size).toBe(1);
});

test('no totals are asked for while nobody is signed in', async () => {
  const world = new World(calm());
  const environment = world.openTab();
  const feed = new Feed(environment);
  const stats = new Stats(feed, 'UTC');
  world.signedOut = 'login_required';
  stats.subscribe(() => {});
  await world.clock.advance(3000);
  expect(stats.get().live).toBe(false);
  const before = world.asked['/api/stats']!;
  await world.clock.advance(10 * MINUTE);
  expect(world.asked['/api/stats']).toBe(before);
  world.signedOut = null;
  const { openSource } = environment;
  environment.openSource = () => () => {}; // a stream that is long in coming
  feed.retry();
  await world.clock.advance(1000);
  expect(world.asked['/api/stats']).toBe(before + 1);
  environment.openSource = openSource;
  await world.clock.advance(MINUTE);
  expect(stats.get().live).toBe(true);
});

test('a refusal says what it would take', async () => {
  const problem = { title: 'Forbidden', detail: 'You may not.', reason: 'not_allowed', scope: 'operate' };
  vi.stubGlobal('fetch', async () => Response.json(problem, { status: 403, headers: { 'Retry-After': '7' } }));
  const error = await browser.getJson('/api/alerts', new AbortController().signal).catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    message: 'You may not. (needs the scope "operate")',
    status: 403,
    reason: 'not_allowed',
    scope: 'operate',
    retryAfter: 7,
  });
});

test('who is signed in is known, no longer when access ends, and again when somebody else signs in', async () => {
  const { world, tabs } = await openTabs(2);
  const stores = tabs.map(({ feed }) => new Access(feed));
  for (const store of stores) store.subscribe(() => {});
  await world.clock.advance(500);
  expect(stores.map((store) => store.get().me?.name)).toEqual(['ada', 'ada']);
  world.endAccess('access_ended');
  await world.clock.advance(1000);
  expect(stores.map((store) => store.get())).toEqual(
    Array(2).fill({ me: null, signedOut: 'access_ended', error: null }),
  );
  world.signedOut = null;
  world.me = { ...world.me, name: 'grace' };
  tabs[0]!.feed.retry();
  await world.clock.advance(1000);
  expect(stores.map((store) => [store.get().me?.name, store.get().signedOut])).toEqual(Array(2).fill(['grace', null]));
  world.me = { ...world.me, role: 'operator' };
  world.endAccess(null); // another role: the stream ends, and comes back
  await world.clock.advance(3000);
  expect(stores.map((store) => store.get().me?.role)).toEqual(['operator', 'operator']);
});

test('a page without a stream asks again when it is shown, and tries again where the server cannot say', async () => {
  const world = new World(calm());
  const environment = world.openTab();
  const access = new Access(new Feed(environment));
  world.up = false;
  const stop = access.subscribe(() => {});
  await world.clock.advance(500);
  expect(access.get()).toEqual({ me: null, signedOut: null, error: new Error('503') });
  world.up = true;
  world.signedOut = 'login_required';
  await world.clock.advance(5000);
  expect(access.get()).toEqual({ me: null, signedOut: 'login_required', error: null });
  world.signedOut = null;
  environment.hide(false);
  await world.clock.advance(500);
  expect(access.get().me?.name).toBe('ada');
  stop();
});

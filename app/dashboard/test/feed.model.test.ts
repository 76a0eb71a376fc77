/** Seeded runs: tabs come and go, connections break, the log is pruned, logins end; at the end every replica equals its table. */
import { describe, expect, test } from 'vitest';
import { Feed } from '../src/feed/feed';
import { listOf, type List } from '../src/feed/list';
import { TOPICS, type Change, type Topic } from '../src/feed/protocol';
import { Replica, type Plot } from '../src/feed/replica';
import { chance } from './chance';
import { TabEnvironment, World, type AnyRow } from './world';

const SEEDS = Number(process.env.FEED_SEEDS ?? 300);
const STEPS = 120;

interface Shown {
  check(): void;
  stop(): void;
}
interface Tab {
  environment: TabEnvironment;
  feed: Feed;
  shown: Shown[];
}

describe('whatever breaks, every replica of every tab ends equal to its table', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) test(`seed ${seed}`, () => run(seed));
});

async function run(seed: number): Promise<void> {
  const random = chance(seed);
  const world = new World(random);
  world.numbersLate = seed % 2 === 0;
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const tabs: Tab[] = [];
  const openTab = () => {
    const environment = world.openTab();
    if (seed % 10 === 0) environment.locks = undefined;
    if (seed % 10 === 5) environment.locks = { request: () => Promise.reject(new Error('refused')) };
    const feed = new Feed(environment);
    tabs.push({ environment, feed, shown: [show(world, feed, random, pick)] });
  };
  for (let row = 0; row < 20; row += 1) world.commit(pick(TOPICS), 'INSERT');
  openTab();
  for (let step = 0; step < STEPS; step += 1) {
    const dice = random();
    const here = tabs.filter((one) => !one.environment.away);
    const tab = here.length > 0 ? pick(here) : undefined;
    if (dice < 0.55) world.commit(pick(TOPICS), pick(['INSERT', 'INSERT', 'UPDATE', 'DELETE']));
    else if (dice < 0.56) world.endAccess(pick(['access_ended', 'login_required', null]));
    else if (dice < 0.58) world.signedOut = null;
    else if (dice < 0.62) pick([...world.connections, null])?.fail();
    else if (dice < 0.65) for (const open of world.connections) open.stalled = true;
    else if (dice < 0.68) world.stop();
    else if (dice < 0.74) world.up = true;
    else if (dice < 0.76) world.prune();
    // Not while a page is kept: that its cursors are of another database is not always noticed if several come back at once.
    else if (dice < 0.77 && here.length === tabs.length) world.restore();
    else if (dice < 0.82 && tabs.length < 5) openTab();
    else if (dice < 0.85 && tab) {
      tab.environment.crash();
      tabs.splice(tabs.indexOf(tab), 1);
    } else if (dice < 0.88 && tab) {
      tab.shown.forEach((one) => one.stop());
      tabs.splice(tabs.indexOf(tab), 1);
    } else if (dice < 0.93 && tab) tab.shown.push(show(world, tab.feed, random, pick));
    else if (dice < 0.96 && tab) tab.shown.splice(Math.floor(random() * tab.shown.length), 1)[0]?.stop();
    else if (dice < 0.98 && tab) tab.environment.leave();
    else if (dice < 0.99) pick([...tabs, null])?.environment.comeBack();
    else if (tab) tab.feed.retry();
    await world.clock.advance(random() < 0.1 ? random() * 20_000 : random() * 150);
  }
  world.up = true;
  world.signedOut = null;
  for (const tab of tabs) tab.environment.comeBack();
  await world.clock.advance(200_000);
  for (const tab of tabs) for (const one of tab.shown) one.check();
  const wanted = tabs.filter((tab) => tab.shown.length > 0);
  const expected = seed % 5 === 0 ? wanted.length : Math.min(1, wanted.length);
  expect(world.connections.size, 'connections in the end').toBe(expected);
}

function show(world: World, feed: Feed, random: () => number, pick: <T>(items: readonly T[]) => T): Shown {
  const topic = pick(TOPICS);
  const sessionId = topic !== 'sessions' && random() < 0.4 ? pick(['session0', 'session1']) : null;
  const kind = random();
  if (kind < 0.3) return showCount(world, feed, topic);
  const open = topic === 'alerts' && kind < 0.7;
  const limit = pick([5, 40, 500]);
  const replica = new Replica(
    feed,
    listOf(topic, {
      sessionId,
      limit,
      ...(open ? { query: { resolved: 'false' }, matches: (row) => !(row as unknown as AnyRow).is_resolved } : {}),
    }) as Plot<List<unknown>>,
  );
  const stop = replica.subscribe(() => {});
  const matches = (row: AnyRow) => !open || !row.is_resolved;
  return {
    stop,
    check() {
      const { value, loading, error } = replica.get();
      expect({ loading, error }).toEqual({ loading: false, error: null });
      const expected = world.expected(topic, sessionId, limit, matches);
      const shown = (value?.rows ?? []).map((row) => JSON.stringify(row));
      // A bounded list that lost rows to deletion is not refilled: it is a prefix of the table.
      if (value?.floor == null) expect(shown).toEqual(expected);
      else expect(shown).toEqual(expected.slice(0, shown.length));
    },
  };
}

/** A count: unlike a list, it goes wrong with any change that is lost or repeated. */
function showCount(world: World, feed: Feed, topic: Topic): Shown {
  let last = 0;
  const apply = (count: number, changes: readonly Change[]) =>
    changes.reduce((sum, change) => {
      expect(change.id, 'in order').toBeGreaterThan(last);
      last = change.id;
      return sum + (change.action === 'INSERT' ? 1 : change.action === 'DELETE' ? -1 : 0);
    }, count);
  const replica = new Replica<number>(feed, {
    topics: [topic],
    sessionId: null,
    apply,
    async load(source, signal) {
      const { body, cursor } = await source.read(`/api/${topic}?limit=1`, signal);
      last = world.lastIdAt(cursor);
      return { value: (body as { total: number }).total, cursor };
    },
  });
  const stop = replica.subscribe(() => {});
  return { stop, check: () => expect(replica.get().value).toBe(world.rows[topic].size) };
}

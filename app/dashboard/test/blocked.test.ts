/** Site data is blocked: what the browser refuses counts as absent, and each tab streams for itself. */
import { afterEach, expect, test, vi } from 'vitest';
import type { Environment } from '../src/feed/environment';
import { Feed } from '../src/feed/feed';
import { listOf } from '../src/feed/list';
import { Replica } from '../src/feed/replica';
import { calm } from './chance';
import { World } from './world';

afterEach(() => vi.unstubAllGlobals());

const refusal = () => new DOMException('The request was denied.', 'SecurityError');
const throws = () => {
  throw refusal();
};
let asked = 0;
const refusing: Readonly<Record<string, Partial<Environment>>> = {
  'locks that reject': { locks: { request: () => (asked++, Promise.reject(refusal())) } },
  'locks that throw': { locks: { request: () => (asked++, throws()) } },
  'a channel that cannot be opened': { openChannel: throws },
  'no channels': { openChannel: undefined },
};

test.each(Object.keys(refusing))('%s: each tab streams for itself', async (name) => {
  asked = 0;
  const world = new World(calm());
  const replicas = [0, 1, 2].map(() => {
    const feed = new Feed(Object.assign(world.openTab(), refusing[name]));
    const replica = new Replica(feed, listOf('movements'));
    return { feed, replica, stop: replica.subscribe(() => {}) };
  });
  await world.clock.advance(2000);
  for (let row = 0; row < 5; row += 1) world.commit('movements', 'INSERT');
  await world.clock.advance(200_000);
  expect(replicas.map(({ replica }) => replica.get().value?.rows.length)).toEqual([5, 5, 5]);
  expect(replicas.map(({ feed }) => feed.state.status)).toEqual(['live', 'live', 'live']);
  expect(world.connections.size).toBe(3);
  expect(asked).toBeLessThanOrEqual(2 * 3); // its own lock and the lead, once each
  for (const { stop } of replicas) stop();
  await world.clock.advance(1000);
  expect(world.connections.size).toBe(0);
});

test('a channel that stops taking messages costs its own tab no row', async () => {
  const errors = vi.fn();
  vi.stubGlobal('reportError', errors);
  const world = new World(calm());
  const environment = world.openTab();
  environment.openChannel = () => ({ postMessage: throws, close: () => {} });
  const replica = new Replica(new Feed(environment), listOf('movements'));
  replica.subscribe(() => {});
  await world.clock.advance(2000);
  world.commit('movements', 'INSERT');
  await world.clock.advance(2000);
  expect(replica.get().value?.rows.length).toBe(1);
  expect(errors).toHaveBeenCalled();
});

test('where the name localStorage throws, settings and language last until the page is left', async () => {
  vi.resetModules();
  vi.stubGlobal('document', { documentElement: { dataset: {}, lang: '' } });
  vi.stubGlobal('navigator', { language: 'en', languages: ['en'] });
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: throws });
  const settings = await import('../src/browser/settings');
  const language = await import('../src/i18n/language');
  settings.changeSettings({ theme: 'dark' });
  await language.setLanguage('vi');
  expect(settings.currentSettings()).toEqual({ theme: 'dark', notify: false });
  expect([language.currentWords().language, document.documentElement.lang]).toEqual(['vi', 'vi']);
});

/**
 * The feeds and replicas that a page's components share.
 *
 * Invariant: there is one Feed and one Access per server, and one Replica per plot key for as long as a component uses it.
 */
import { Access } from './access';
import { browser, type Environment } from './environment';
import { Feed } from './feed';
import { at } from './mount';
import { Replica, type Plot } from './replica';

const feeds = new Map<string, Feed>();
const accesses = new Map<Feed, Access>();
const replicas = new Map<string, Replica<unknown>>();

/** The feed of a server; "" is the one that served this page. Its environment is its own, so that it can be given a key. */
export function feedOf(base = ''): Feed {
  const server = base || at('');
  let feed = feeds.get(server);
  if (!feed) feeds.set(server, (feed = new Feed(Object.create(browser) as Environment, { base: server })));
  return feed;
}

/** Who is signed in at a server. */
export function accessOf(base = ''): Access {
  const feed = feedOf(base);
  let access = accesses.get(feed);
  if (!access) accesses.set(feed, (access = new Access(feed)));
  return access;
}

/** The replica of a key, made from its plot at first use. The key must contain everything that the plot depends on. */
export function replicaOf<V>(key: string, plot: () => Plot<V>, base = ''): Replica<V> {
  const name = `${base} ${key}`;
  const known = replicas.get(name) as Replica<V> | undefined;
  if (known) return known;
  const replica = new Replica(feedOf(base), plot(), () => replicas.delete(name));
  replicas.set(name, replica as Replica<unknown>);
  return replica;
}

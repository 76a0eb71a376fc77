/**
 * A small model of what surrounds the feed: a server with tables, change log and streams, and a browser with tabs,
 * locks and channels. Anything can be slow or fail; the seed decides when.
 */
import type { Me } from '../src/feed/access';
import type { Reason } from '../src/feed/refusal';
import type { Cursor } from '../src/feed/cursor';
import { RequestError, type Environment, type Locks, type SourceEvent } from '../src/feed/environment';
import type { Topic } from '../src/feed/protocol';
import { Clock } from './clock';

export const TABLE: Readonly<Record<Topic, string>> = {
  sessions: 'sessions',
  movements: 'people_movements',
  alerts: 'alert_logs',
  metrics: 'realtime_metrics',
};
const TIME: Readonly<Record<Topic, string>> = {
  sessions: 'created_at',
  movements: 'movement_time',
  alerts: 'triggered_at',
  metrics: 'timestamp',
};

export interface AnyRow {
  id: string;
  [column: string]: unknown;
}
interface Logged {
  id: number;
  topic: Topic;
  action: string;
  data: AnyRow;
  old_data: AnyRow | null;
}
interface Open {
  tab: TabEnvironment;
  topics: string[];
  sessionId: string | null;
  stalled: boolean;
  send(text: string, id: number | string | null): void;
  fail(): void;
  close(): void;
}

export class World {
  readonly clock = new Clock();
  readonly random: () => number;
  log: Logged[] = [];
  rows: Record<Topic, Map<string, AnyRow>> = {
    sessions: new Map(),
    movements: new Map(),
    alerts: new Map(),
    metrics: new Map(),
  };
  #era = 0;
  lastId = 1_000_000_000;
  /** Whether changes get their ids some time after they are committed, and in another order. */
  numbersLate = false;
  #waiting: Logged[] = [];
  prunedTo = 0;
  up = true;
  opened = 0;
  /** Why nobody is signed in. */
  signedOut: Reason | null = null;
  me: Me = { access: 'user', name: 'ada', role: 'viewer', scopes: ['read'], login_id: null, expires_at: null };
  /** How often a stream was tried, and how often each path was read. */
  tried = 0;
  readonly asked: Record<string, number> = {};
  readonly connections = new Set<Open>();
  readonly #locks = new Map<string, Waiter[]>();
  readonly #channels = new Set<{ name: string; tab: TabEnvironment; heard: (message: unknown) => void }>();
  #rowNumber = 0;

  readonly heartbeatSeconds: number;

  constructor(random: () => number, heartbeatSeconds = 15) {
    this.random = random;
    this.heartbeatSeconds = heartbeatSeconds;
    this.#beat();
  }

  /** Commit one change. */
  commit(topic: Topic, action: 'INSERT' | 'UPDATE' | 'DELETE'): void {
    const table = this.rows[topic];
    const ids = [...table.keys()];
    const known = ids[Math.floor(this.random() * ids.length)];
    const before = known === undefined ? null : (table.get(known) ?? null);
    if (action === 'INSERT') this.#write(topic, action, this.#newRow(topic), null);
    else if (before) {
      const row =
        action === 'UPDATE' ? { ...before, is_resolved: this.random() < 0.5, session_id: this.#session() } : before;
      this.#write(topic, action, row, before);
    }
  }

  /** The log is pruned: cursors older than its end are answered with a reset. */
  prune(): void {
    this.prunedTo = this.lastId;
  }

  /** Another database replaces this one: different rows, and ids that start lower. */
  restore(): void {
    this.#era += 1;
    this.#waiting = [];
    for (const topic of Object.keys(TABLE) as Topic[]) {
      for (const id of [...this.rows[topic].keys()]) if (this.random() < 0.5) this.rows[topic].delete(id);
    }
    this.log = [];
    this.lastId -= 1_000_000; // so far that no run reaches the old ids again: a server could not tell them apart
    this.prunedTo = this.lastId;
    for (const open of [...this.connections]) open.fail();
  }

  stop(): void {
    this.up = false;
    for (const open of [...this.connections]) open.fail();
  }

  /** The login ends; the streams are told so, and closed. */
  endAccess(reason: Reason | null): void {
    this.signedOut = reason;
    for (const open of [...this.connections]) {
      open.send(JSON.stringify({ type: 'error', error: 'access_ended', message: '', timestamp: '' }), null);
      open.fail();
    }
  }

  openTab(): TabEnvironment {
    return new TabEnvironment(this);
  }

  connect(url: string, tab: TabEnvironment, heard: (event: SourceEvent) => void, failed: () => void): () => void {
    const query = new URL(url, 'http://model').searchParams;
    let closed = false;
    let lastEventId = '';
    let busyUntil = 0;
    const deliver = (task: () => void) => {
      busyUntil = Math.max(busyUntil, this.clock.now + 1 + this.random() * 40); // in order, as TCP is
      this.clock.later(busyUntil - this.clock.now, () => {
        if (!closed && !tab.dead) task();
      });
    };
    const open: Open = {
      tab,
      topics: (query.get('topics') ?? '').split(','),
      sessionId: query.get('session_id'),
      stalled: false,
      send: (data, id) => {
        if (open.stalled) return;
        deliver(() => {
          if (id !== null) lastEventId = String(id);
          heard({ data, lastEventId });
        });
      },
      fail: () => {
        this.connections.delete(open);
        deliver(() => {
          open.close();
          failed();
        });
      },
      close: () => {
        closed = true;
        this.connections.delete(open);
      },
    };
    this.tried += 1;
    deliver(() => this.#accept(open, query.get('last_event_id')));
    return open.close;
  }

  async read(url: string, tab: TabEnvironment): Promise<{ body: unknown; cursor: Cursor | null }> {
    const { pathname, searchParams } = new URL(url, 'http://model');
    this.asked[pathname] = (this.asked[pathname] ?? 0) + 1;
    await this.#pause(tab);
    if (!this.up || this.random() < 0.05) throw new Error('503');
    if (this.signedOut !== null) throw new RequestError(401, { reason: this.signedOut }, 'Sign in.');
    if (pathname === '/api/me') return { body: this.me, cursor: null };
    const topic = pathname.split('/').at(-1) as Topic;
    const sessionId = searchParams.get('session_id');
    const resolved = searchParams.get('resolved');
    const rows = [...this.rows[topic].values()]
      .filter((row) => sessionId === null || row.session_id === sessionId || row.id === sessionId)
      .filter((row) => resolved === null || String(row.is_resolved) === resolved)
      .sort((a, b) => newer(topic, a, b));
    const limit = Number(searchParams.get('limit'));
    const body = { items: rows.slice(0, limit), total: rows.length, next: rows.length > limit ? 'more' : null };
    // What has no id yet is in these rows, too.
    const [era, upto, waiting] = [this.#era, this.lastId, [...this.#waiting]];
    await this.#pause(tab);
    if (era !== this.#era) throw new Error('the database was replaced');
    this.#number();
    const beyond = waiting.map((change) => change.id).sort((a, b) => a - b);
    return { body, cursor: cursorText(upto, beyond) as Cursor };
  }

  /** The id of the last change up to a cursor. The model is the server that wrote it, so it alone may look inside. */
  lastIdAt(cursor: Cursor): number {
    return Number(cursor.split(',')[0]);
  }

  /** The rows that a list of this kind should show. */
  expected(
    topic: Topic,
    sessionId: string | null,
    limit: number,
    matches: (row: AnyRow) => boolean = () => true,
  ): string[] {
    return [...this.rows[topic].values()]
      .filter((row) => (sessionId === null || row.session_id === sessionId) && matches(row))
      .sort((a, b) => newer(topic, a, b))
      .slice(0, limit)
      .map((row) => JSON.stringify(row));
  }

  speak(name: string, from: TabEnvironment, message: unknown): void {
    const copy = structuredClone(message);
    for (const channel of this.#channels) {
      if (channel.name === name && channel.tab !== from) {
        channel.tab.queue(() => {
          if (this.#channels.has(channel)) channel.heard(copy);
        });
      }
    }
  }

  join(name: string, tab: TabEnvironment, heard: (message: unknown) => void) {
    const channel = { name, tab, heard };
    this.#channels.add(channel);
    return {
      postMessage: (message: unknown) => this.speak(name, tab, message),
      close: () => {
        this.#channels.delete(channel);
      },
    };
  }

  lock(tab: TabEnvironment): Locks {
    return {
      request: (name, options, hold) =>
        new Promise((resolve, reject) => {
          const waiter: Waiter = { tab, hold, resolve, reject, holding: false };
          const line = this.#locks.get(name) ?? [];
          this.#locks.set(name, line);
          if (options.steal) {
            const [holder] = line;
            if (holder?.holding) {
              line.shift();
              this.clock.later(0, () => holder.reject(abortError())); // after its own grant, which may be on its way
            }
            line.unshift(waiter);
          } else line.push(waiter);
          options.signal?.addEventListener('abort', () => {
            if (waiter.holding || !line.includes(waiter)) return;
            line.splice(line.indexOf(waiter), 1);
            reject(abortError());
          });
          this.#grant(name);
        }),
    };
  }

  /** A tab is gone without a word; the browser releases its locks and channels. */
  bury(tab: TabEnvironment): void {
    for (const channel of [...this.#channels]) if (channel.tab === tab) this.#channels.delete(channel);
    for (const [name, line] of this.#locks) {
      this.#locks.set(
        name,
        line.filter((waiter) => waiter.tab !== tab),
      );
      this.#grant(name);
    }
  }

  #grant(name: string): void {
    const line = this.#locks.get(name) ?? [];
    const [first] = line;
    if (!first || first.holding) return;
    first.holding = true;
    this.clock.later(0, () => {
      if (first.tab.dead) return;
      void first.hold().then(() => {
        const now = this.#locks.get(name) ?? [];
        if (now.includes(first)) now.splice(now.indexOf(first), 1);
        first.resolve(undefined);
        this.#grant(name);
      });
    });
  }

  #accept(open: Open, lastEventId: string | null): void {
    if (!this.up || this.signedOut !== null || this.random() < 0.1) {
      open.fail();
      return;
    }
    const asked = lastEventId === null ? null : this.lastIdAt(lastEventId as Cursor);
    const seen = (lastEventId ?? '').split(',').slice(1).map(Number);
    const lost = asked !== null && (asked < this.prunedTo || Math.max(asked, ...seen) > this.lastId);
    const status = asked === null ? 'live' : lost ? 'reset' : 'resumed';
    this.opened += 1;
    this.connections.add(open);
    const start = asked === null || lost ? this.lastId : asked;
    open.send(
      JSON.stringify({
        type: 'connection',
        data: {
          topics: open.topics,
          cursor: lost ? String(start) : cursorText(start, seen),
          status,
          heartbeat_seconds: this.heartbeatSeconds,
        },
        timestamp: '',
      }),
      lost ? start : cursorText(start, seen),
    );
    for (const change of this.log) {
      if (change.id <= start || (!lost && seen.includes(change.id))) continue;
      this.#send(open, change, lost ? undefined : cursorText(change.id, seen));
    }
  }

  #send(open: Open, change: Logged, cursor: number | string = change.id): void {
    const wanted = open.topics.includes(change.topic) && (open.sessionId === null || concerns(change, open.sessionId));
    if (!wanted) return;
    const { topic, ...rest } = change;
    open.send(
      JSON.stringify({ type: 'data', data: { ...rest, table: TABLE[topic], timestamp: 1 }, timestamp: '' }),
      cursor,
    );
  }

  #beat(): void {
    this.clock.later(this.heartbeatSeconds * 1000, () => {
      for (const open of this.connections) open.send(JSON.stringify({ type: 'heartbeat', timestamp: '' }), this.lastId);
      this.#beat();
    });
  }

  #write(topic: Topic, action: string, data: AnyRow, old_data: AnyRow | null): void {
    if (action === 'DELETE') this.rows[topic].delete(data.id);
    else this.rows[topic].set(data.id, data);
    this.#waiting.push({ id: 0, topic, action, data, old_data });
    if (!this.numbersLate) this.#number();
    else this.clock.later(this.random() * 100, () => this.#number(Math.ceil(this.random() * this.#waiting.length)));
  }

  /** Give ids to some of the changes that have none, in any order that keeps each row's own. */
  #number(most = Infinity): void {
    for (let number = 0; number < most && this.#waiting.length > 0; number += 1) {
      const { data } = this.#waiting[Math.floor(this.random() * this.#waiting.length)] as Logged;
      const [change] = this.#waiting.splice(
        this.#waiting.findIndex((one) => one.data.id === data.id),
        1,
      ) as [Logged];
      change.id = this.lastId += 1 + Math.floor(this.random() * 3);
      this.log.push(change);
      for (const open of [...this.connections]) this.#send(open, change);
    }
  }

  #newRow(topic: Topic): AnyRow {
    const time = new Date(this.clock.now - Math.floor(this.random() * 5000)).toISOString().replace('Z', '000+00:00');
    this.#rowNumber += 1;
    return { id: `row${this.#rowNumber}`, session_id: this.#session(), is_resolved: false, [TIME[topic]]: time };
  }

  #session(): string {
    return `session${Math.floor(this.random() * 3)}`;
  }

  #pause(tab: TabEnvironment): Promise<void> {
    return new Promise((resolve) =>
      this.clock.later(5 + this.random() * 100, () => {
        if (!tab.dead) resolve();
      }),
    );
  }
}

interface Waiter {
  tab: TabEnvironment;
  hold: () => Promise<void>;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  holding: boolean;
}

/** One tab. A dead tab's tasks never run; a frozen one's wait. */
export class TabEnvironment implements Environment {
  dead = false;
  locks: Locks | undefined;
  openChannel: Environment['openChannel'];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.locks = world.lock(this);
    this.openChannel = (name, heard) => world.join(name, this, heard);
  }

  now(): number {
    return this.#world.clock.now;
  }
  later(milliseconds: number, task: () => void): () => void {
    const run = () => {
      if (this.#frozen) this.#frozen.add(run);
      else if (!this.dead) task();
    };
    const cancel = this.#world.clock.later(milliseconds, run);
    return () => {
      cancel();
      this.#frozen?.delete(run);
    };
  }
  queue(task: () => void): void {
    const at = Math.max(this.#lastQueued, this.#world.clock.now + this.#world.random() * 10);
    this.#lastQueued = at;
    this.later(at - this.#world.clock.now, task);
  }
  #lastQueued = 0;
  random(): number {
    return this.#world.random();
  }
  openSource(url: string, heard: (event: SourceEvent) => void, failed: () => void): () => void {
    return this.#world.connect(url, this, heard, failed);
  }
  getJson(url: string): Promise<{ body: unknown; cursor: Cursor | null }> {
    return this.#world.read(url, this);
  }
  hidden = false;
  onReturn(task: () => void): () => void {
    this.#returns.add(task);
    return () => this.#returns.delete(task);
  }
  readonly #returns = new Set<() => void>();

  /** Another window covers the page, or no longer does. */
  hide(hidden: boolean): void {
    this.hidden = hidden;
    if (!hidden) for (const task of [...this.#returns]) task();
  }
  onLeave(left: () => void, back: () => void): () => void {
    [this.#left, this.#back] = [left, back];
    return () => {
      this.#left = this.#back = () => {};
    };
  }
  nextFrame(task: () => void): () => void {
    return this.later(16, task);
  }

  get away(): boolean {
    return this.#frozen !== null;
  }
  /** The browser keeps the page, frozen. */
  leave(): void {
    if (this.away) return;
    this.#left();
    this.#frozen = new Set();
  }
  /** The browser shows it again. */
  comeBack(): void {
    if (!this.away) return; // a browser shows a page once for each time that it kept it
    const tasks = this.#frozen ?? [];
    this.#frozen = null;
    for (const task of tasks) task();
    this.#back();
  }
  #left = () => {};
  #back = () => {};
  #frozen: Set<() => void> | null = null;

  crash(): void {
    this.dead = true;
    for (const open of [...this.#world.connections]) if (open.tab === this) open.close();
    this.#world.bury(this);
  }
}

function concerns(change: Logged, sessionId: string): boolean {
  return [change.data, change.old_data].some(
    (row) => row !== null && (row.session_id === sessionId || row.id === sessionId),
  );
}

function newer(topic: Topic, a: AnyRow, b: AnyRow): number {
  const [keyA, keyB] = [`${a[TIME[topic]]} ${a.id}`, `${b[TIME[topic]]} ${b.id}`];
  return keyA < keyB ? 1 : -1;
}

function abortError(): Error {
  const error = new Error('the lock was stolen');
  error.name = 'AbortError';
  return error;
}

/** What was seen up to an id, and of those that follow. */
function cursorText(upto: number, seen: readonly number[]): string {
  return [upto, ...seen.filter((id) => id > upto)].join(',');
}

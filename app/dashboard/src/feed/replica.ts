/**
 * Replica: a value that starts as a snapshot and follows the changes.
 *
 * Invariant: `value` is what `load` would have returned at the last applied change. Knows no React. The first listener
 * starts it, the last one stops it; listeners are called at most once per frame. What was refused while nobody is signed
 * in is read again once somebody is, and not before.
 */
import type { Feed } from './feed';
import type { Cursor } from './cursor';
import type { Change, Topic } from './protocol';
import type { Reader } from './reader';
import { delayBefore } from './backoff';
import { Listeners, report } from './listeners';

export interface Snapshot<V> {
  value: V;
  /** The cursor at which it was read. */
  cursor: Cursor;
}

/** What a replica holds: how to load it, and how changes alter it. */
export interface Plot<V> {
  topics: readonly Topic[];
  sessionId: string | null;
  /** Load it; rejects if the server cannot answer. */
  load(feed: Feed, signal: AbortSignal): Promise<Snapshot<V>>;
  /** The next value; the same one if the changes do not affect it. */
  apply(value: V, changes: readonly Change[]): V;
}

export interface ReplicaState<V> {
  /** Null until the first snapshot is loaded. */
  value: V | null;
  loading: boolean;
  /** Why the last attempt to read the snapshot failed. */
  error: Error | null;
}

/** The state before the first snapshot. */
export const LOADING: ReplicaState<never> = { value: null, loading: true, error: null };

/** More changes than this are applied without waiting for a frame: a hidden page must not pile them up. */
const BATCH = 5000;

export class Replica<V> {
  #state: ReplicaState<V> = LOADING;
  #changes: Change[] = [];
  #reader: Reader | null = null;
  #loading = new AbortController();
  #failures = 0;
  #signedOut = false;
  #cancelRetry = () => {};
  #stopWatching = () => {};
  #cancelFrame: (() => void) | null = null;
  readonly #listeners = new Listeners();
  readonly #feed: Feed;
  readonly #plot: Plot<V>;

  readonly #stopped: () => void;

  constructor(feed: Feed, plot: Plot<V>, stopped = () => {}) {
    this.#feed = feed;
    this.#plot = plot;
    this.#stopped = stopped;
  }

  /** The state; the same object until it changes. */
  readonly get = (): ReplicaState<V> => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    const remove = this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      if (remove() && this.#listeners.size === 0) this.#stop();
    };
  };

  /** Read the snapshot again. */
  reload(): void {
    this.#reader?.restart();
  }

  #start(): void {
    this.#stopWatching = this.#feed.watch(() => this.#look());
    this.#look();
    this.#reader = this.#feed.attach(this.#plot.topics, this.#plot.sessionId, {
      change: (change) => this.#collect(change),
      reset: () => this.#load(),
    });
    this.#load();
  }

  #stop(): void {
    this.#stopWatching();
    this.#loading.abort();
    this.#cancelRetry();
    this.#cancelFrame?.();
    this.#cancelFrame = null;
    this.#changes = [];
    if (this.#reader) this.#feed.detach(this.#reader);
    this.#reader = null;
    this.#stopped();
  }

  #look(): void {
    const before = this.#signedOut;
    this.#signedOut = this.#feed.state.status === 'signed-out';
    if (!before || this.#signedOut || this.#state.error === null) return;
    this.#failures = 0;
    this.reload();
  }

  #load(): void {
    this.#loading.abort();
    this.#cancelRetry();
    this.#changes = [];
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    this.#enter({ loading: true });
    // Deliberate: `load` is somebody else's code, so what it throws counts as a rejection.
    new Promise<Snapshot<V>>((resolve) => resolve(this.#plot.load(this.#feed, signal))).then(
      (snapshot) => {
        if (!signal.aborted) this.#begin(snapshot);
      },
      (error: unknown) => {
        if (!signal.aborted) this.#fail(error);
      },
    );
  }

  #begin(snapshot: Snapshot<V>): void {
    this.#failures = 0;
    this.#enter({ value: snapshot.value, loading: false, error: null });
    this.#reader?.ready(snapshot.cursor);
    if (this.#reader) this.#feed.declare(this.#reader);
  }

  #fail(error: unknown): void {
    this.#enter({ error: error instanceof Error ? error : new Error(String(error)) });
    const { environment, options } = this.#feed;
    const delay = delayBefore(this.#failures, options.reconnectMs, environment.random());
    this.#failures += 1;
    this.#cancelRetry = environment.later(delay, () => {
      if (!this.#signedOut) this.reload();
    });
  }

  #collect(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length >= BATCH) this.#flush();
    else this.#cancelFrame ??= this.#feed.environment.nextFrame(() => this.#flush());
  }

  #flush(): void {
    this.#cancelFrame?.();
    this.#cancelFrame = null;
    const changes = this.#changes;
    this.#changes = [];
    const { value: before, error } = this.#state;
    if (changes.length === 0 || before === null || error !== null) return; // a snapshot will be read
    try {
      const value = this.#plot.apply(before, changes);
      if (value !== before) this.#enter({ value });
    } catch (thrown) {
      // The value lacks these changes now: only another snapshot has them.
      report(thrown);
      this.#fail(thrown);
    }
  }

  #enter(change: Partial<ReplicaState<V>>): void {
    this.#state = { ...this.#state, ...change };
    this.#listeners.call();
  }
}

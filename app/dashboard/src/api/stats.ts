/**
 * Stats: what the server counts, of all sessions or of one, read again when something has changed.
 *
 * Invariant: one request at a time, at most one a second however much changes, none while nothing changes but at local
 * midnight and at the end of a mute, and none while nobody can see the page or is signed in. `fresh` says that the totals are those of now: the stream that would report a change is live, and they
 * were read since it is.
 */
import { delayBefore } from '../feed/backoff';
import type { Feed } from '../feed/feed';
import { Listeners } from '../feed/listeners';
import { TOPICS, type Topic } from '../feed/protocol';
import type { Reader } from '../feed/reader';

export interface Totals {
  today: { entered: number; exited: number; peak: number };
  now: {
    inside: number;
    active_sessions: number;
    silent_sessions: number;
    inside_silent: number;
    ahead_sessions: number;
    open_alerts: number;
    /** Of the open ones; a server of before does not say. */
    alerts_in_hand?: number;
    alerts_muted?: number;
    /** Until the first of the muted ones is waiting again. */
    mute_ends_seconds?: number | null;
  };
}

/** A session's own, from its first movement on. */
export interface SessionTotals {
  inside: number;
  entered: number;
  exited: number;
  peak: number;
  /** Null if it has none. */
  last_movement: string | null;
  /** How far its clock is ahead; 0 if it is not. */
  ahead_seconds: number;
}

export interface StatsState<T = Totals> {
  /** Null until the first answer. */
  totals: T | null;
  /** When they were asked for, in milliseconds since 1970. */
  at: number;
  /** The stream is live, so nothing changes unheard. */
  live: boolean;
  fresh: boolean;
}

const EVERY_MS = 1000;
/** Of many at once, all together ask at most ten times a second. */
const SHARE_MS = 100;
let running = 0;
const PATIENCE_MS = 10_000;
/** A page that needs more reopens the connection; that takes milliseconds, and nothing is missed. */
const REOPENING_MS = 2000;
/** The database's clock may be a little behind. */
const PAST_MIDNIGHT_MS = 1000;

export class Stats<T = Totals> {
  #state: StatsState<T> = { totals: null, at: 0, live: false, fresh: false };
  #failures = 0;
  #startedAt = -Infinity;
  #liveSince = 0;
  #dueAt = Infinity;
  #again = false;
  /** A read is wanted, and waits until the page is seen. */
  #asleep = false;
  #signedOut = false;
  #reading: AbortController | null = null;
  #cancelRead = () => {};
  #cancelMidnight = () => {};
  #cancelMute = () => {};
  #cancelReopening: (() => void) | null = null;
  #stopWatching = () => {};
  #reader: Reader | null = null;
  readonly #listeners = new Listeners();
  readonly #feed: Feed;
  readonly #sessionId: string | null;
  readonly #topics: readonly Topic[];
  readonly #path: string;

  /** What is below /api at `path`, which these topics change; of all sessions or of one. */
  constructor(
    feed: Feed,
    zone: string,
    path = 'stats',
    sessionId: string | null = null,
    topics: readonly Topic[] = TOPICS,
  ) {
    this.#feed = feed;
    this.#sessionId = sessionId;
    this.#topics = topics;
    this.#path = `/api/${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams({ tz: zone })}`;
  }

  /** The state; the same object until it changes. */
  readonly get = (): StatsState<T> => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    const remove = this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      if (remove() && this.#listeners.size === 0) this.#stop();
    };
  };

  #start(): void {
    running += 1;
    const stopWatching = this.#feed.watch(() => this.#look());
    const stopReturn = this.#feed.environment.onReturn(() => {
      if (this.#asleep) this.#want();
    });
    this.#stopWatching = () => {
      stopWatching();
      stopReturn();
    };
    const reader = this.#feed.attach(this.#topics, this.#sessionId, {
      change: () => this.#want(),
      reset: () => {
        reader.ready(null);
        this.#hearAgain();
      },
      // What changed before a connection covered all topics was not heard.
      notice: (message) => {
        if (message.type === 'connection') this.#want();
      },
    });
    this.#reader = reader;
    reader.ready(null);
    this.#feed.declare(reader);
    // A page shows figures before its stream is there; what changes until then is read again once it is.
    this.#distrust();
    this.#enter({ live: true });
    this.#look();
    this.#want();
    this.#awaitMidnight();
  }

  #stop(): void {
    running -= 1;
    this.#stopWatching();
    if (this.#reader) this.#feed.detach(this.#reader);
    this.#reader = null;
    this.#cancelRead();
    this.#cancelMidnight();
    this.#cancelMute();
    this.#cancelReopening?.();
    this.#cancelReopening = null;
    this.#reading?.abort();
    this.#reading = null;
    this.#dueAt = Infinity;
    this.#enter({ live: false });
  }

  #look(): void {
    const { status, error } = this.#feed.state;
    const before = this.#signedOut;
    this.#signedOut = status === 'signed-out';
    if (before && !this.#signedOut) this.#want();
    if ((status === 'connecting' || status === 'closed') && this.#state.live) {
      this.#cancelReopening ??= this.#feed.environment.later(REOPENING_MS, () => this.#enter({ live: false }));
      return;
    }
    this.#cancelReopening?.();
    this.#cancelReopening = null;
    const live = status === 'live' && error === null;
    if (live === this.#state.live) return;
    if (live) this.#hearAgain();
    this.#enter({ live });
  }

  /** What changed until now was not heard, so no earlier totals count. */
  #hearAgain(): void {
    this.#distrust();
    this.#want();
  }

  #distrust(): void {
    this.#liveSince = this.#feed.environment.now();
    this.#enter({});
  }

  #awaitMidnight(): void {
    const { environment } = this.#feed;
    const now = environment.now();
    this.#cancelMidnight = environment.later(new Date(now).setHours(24, 0, 0, 0) + PAST_MIDNIGHT_MS - now, () => {
      this.#want();
      this.#awaitMidnight();
    });
  }

  /** An alert is waiting again once its mute ends, which no change tells. */
  #awaitMute({ now }: Partial<Totals>): void {
    this.#cancelMute();
    this.#cancelMute = () => {};
    const seconds = now?.mute_ends_seconds;
    if (seconds) this.#cancelMute = this.#feed.environment.later(seconds * 1000, () => this.#want());
  }

  /** Read soon; a read that is in flight may have been answered before the change. */
  #want(delay = 0): void {
    this.#again = this.#reading !== null;
    if (this.#again || this.#signedOut) return;
    const { environment } = this.#feed;
    const now = environment.now();
    const slept = this.#asleep;
    this.#asleep = environment.hidden;
    if (this.#asleep) {
      if (!slept) this.#distrust(); // the next look at the page shows these totals first
      return;
    }
    const dueAt = Math.max(now + delay, this.#startedAt + Math.max(EVERY_MS, SHARE_MS * running));
    if (this.#dueAt <= dueAt) return;
    this.#cancelRead();
    this.#dueAt = dueAt;
    this.#cancelRead = environment.later(dueAt - now, () => this.#read());
  }

  #read(): void {
    const { environment } = this.#feed;
    const reading = (this.#reading = new AbortController());
    this.#dueAt = Infinity;
    this.#startedAt = environment.now();
    const settle = (totals: T | null) => {
      if (this.#reading !== reading) return;
      this.#reading = null;
      cancelPatience();
      this.#failures = totals ? 0 : this.#failures + 1;
      this.#enter(totals ? { totals, at: this.#startedAt } : {});
      if (totals) this.#awaitMute(totals);
      if (this.#again) this.#want();
      else if (!totals)
        this.#want(delayBefore(this.#failures - 1, this.#feed.options.reconnectMs, environment.random()));
    };
    const cancelPatience = environment.later(PATIENCE_MS, () => {
      settle(null);
      reading.abort();
    });
    this.#feed.ask(this.#path, reading.signal).then(
      ({ body }) => settle(body as T | null),
      () => settle(null),
    );
  }

  #enter(change: Partial<StatsState<T>>): void {
    const state = { ...this.#state, ...change };
    const current = state.totals !== null && state.at >= this.#liveSince && this.#failures === 0;
    this.#state = { ...state, fresh: state.live && current };
    this.#listeners.call();
  }
}

/**
 * Stream: one connection to the server that reconnects until it is closed.
 *
 * Invariant: `cursor` is the last id that was passed on, and every connection is opened at it, so that the server
 * continues there. EventSource's own reconnection is not used: it gives up for good on a 503, and it does not notice a
 * connection that died silently.
 */
import { delayBefore } from './backoff';
import { parseCursor, type Cursor } from './cursor';
import type { Environment, SourceEvent } from './environment';
import { parseMessage, type Message, type Topic } from './protocol';

/** What to ask the server for. */
export interface Request {
  topics: readonly Topic[];
  sessionId: string | null;
}

export interface StreamState {
  status: 'closed' | 'connecting' | 'live' | 'reconnecting';
  /** When this status started; for `reconnecting`, when the connection was lost. Milliseconds since 1970. */
  since: number;
  /** When the next attempt starts, while `reconnecting`. */
  retryAt: number | null;
  /** How often the connection was lost. */
  losses: number;
  error: string | null;
}

/** The state before the first connection. */
export const CLOSED: StreamState = { status: 'closed', since: 0, retryAt: null, losses: 0, error: null };

export interface StreamOptions {
  /** Where the API is, "" for this page's own server. */
  base: string;
  /** About how long the third attempt waits. */
  reconnectMs: number;
  /** Silence after which a connection counts as dead; three heartbeats, if the server's are further apart. */
  staleMs: number;
}

export interface StreamListener {
  message(message: Message, cursor: Cursor | null): void;
  state(state: StreamState): void;
}

/** A connection that lasted less than this does not reset the back-off. */
const STEADY_MS = 5000;

export class Stream {
  cursor: Cursor | null = null;
  #hangUpSource: (() => void) | null = null;
  #request: Request = { topics: [], sessionId: null };
  #state: StreamState;
  #attempt = 0;
  #heardAt = 0;
  #staleMs: number;
  #cancelTimer = () => {};
  readonly #environment: Environment;
  readonly #options: StreamOptions;
  readonly #listener: StreamListener;

  constructor(environment: Environment, options: StreamOptions, listener: StreamListener) {
    this.#environment = environment;
    this.#options = options;
    this.#staleMs = options.staleMs;
    this.#listener = listener;
    this.#state = { ...CLOSED, since: environment.now() };
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Open, or reopen, at a cursor; null means from now on. */
  open(request: Request, cursor: Cursor | null): void {
    this.#request = request;
    this.cursor = cursor;
    this.#enter({ status: 'connecting', retryAt: null, error: null });
    this.#connect();
  }

  close(): void {
    this.#hangUp();
    this.#attempt = 0;
    if (this.#state.status !== 'closed') this.#enter({ status: 'closed', retryAt: null });
  }

  /** Reconnect now: the user asked, or the network is back. */
  retry(force = false): void {
    if (this.#state.status === 'reconnecting' || (force && this.#state.status !== 'closed')) this.#connect();
    else if (this.#state.status === 'live') this.#checkStale();
  }

  #connect(): void {
    this.#hangUp();
    this.#heardAt = this.#environment.now();
    let current = true; // ignore what a closed source still delivers
    const close = this.#environment.openSource(
      this.#url(),
      (event) => {
        if (current) this.#hear(event);
      },
      () => {
        if (current) this.#lose('connection_lost');
      },
    );
    this.#hangUpSource = () => {
      current = false;
      close();
    };
    this.#armStale();
  }

  #url(): string {
    const query = new URLSearchParams({ topics: this.#request.topics.join(',') });
    if (this.#request.sessionId !== null) query.set('session_id', this.#request.sessionId);
    if (this.cursor !== null) query.set('last_event_id', this.cursor);
    return `${this.#options.base}/api/sse?${query}`;
  }

  #hear(event: SourceEvent): void {
    this.#heardAt = this.#environment.now();
    const message = parseMessage(event.data);
    if (message === null) {
      console.warn('stream: skipped a frame that could not be parsed', event.data.slice(0, 200));
      return;
    }
    const cursor = cursorAfter(message, parseCursor(event.lastEventId), this.cursor);
    if (cursor !== null) this.cursor = cursor;
    if (message.type === 'connection') {
      this.#staleMs = Math.max(this.#options.staleMs, 3 * message.data.heartbeatMs);
      this.#enter({ status: 'live', retryAt: null, error: null });
    }
    if (message.type === 'error') this.#enter({ error: message.error });
    this.#listener.message(message, cursor);
  }

  #lose(error: string): void {
    const lived = this.#state.status === 'live' && this.#environment.now() - this.#state.since >= STEADY_MS;
    if (lived) this.#attempt = 0;
    this.#hangUp();
    const delay = delayBefore(this.#attempt, this.#options.reconnectMs, this.#environment.random());
    this.#attempt += 1;
    const losses = this.#state.losses + (this.#state.status === 'live' ? 1 : 0);
    this.#enter({ status: 'reconnecting', retryAt: this.#environment.now() + delay, losses, error });
    this.#cancelTimer = this.#environment.later(delay, () => this.#connect());
  }

  #armStale(): void {
    const silent = this.#environment.now() - this.#heardAt;
    this.#cancelTimer = this.#environment.later(this.#staleMs - silent, () => {
      if (!this.#checkStale()) this.#armStale();
    });
  }

  #checkStale(): boolean {
    const stale = this.#environment.now() - this.#heardAt >= this.#staleMs;
    if (stale) this.#lose('connection_stale');
    return stale;
  }

  #hangUp(): void {
    this.#cancelTimer();
    this.#hangUpSource?.();
    this.#hangUpSource = null;
  }

  #enter(change: Partial<StreamState>): void {
    const since =
      change.status === undefined || change.status === this.#state.status ? this.#state.since : this.#environment.now();
    this.#state = { ...this.#state, ...change, since };
    this.#listener.state(this.#state);
  }
}

/** The cursor that a message leads to; null if it has none. */
function cursorAfter(message: Message, id: Cursor | null, before: Cursor | null): Cursor | null {
  if (message.type !== 'connection') return id;
  // Deliberate: only a fresh start and a reset take the message's cursor; after a resume the missed changes come first.
  return before === null || message.data.status === 'reset' ? message.data.cursor : id;
}

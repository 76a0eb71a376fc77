/**
 * Stream: one connection to the server that reconnects until it is closed.
 *
 * Invariant: `cursor` is the last id that was passed on, and every connection is opened at it, so that the server
 * continues there. EventSource's own reconnection is not used: it gives up for good on a 503, and it does not notice a
 * connection that died silently. It does not tell either whether an attempt was refused, so after each one that failed
 * the stream asks who is signed in. While nobody is, it opens nothing.
 */
import { signedOutBy, type Reason } from './refusal';
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
  status: 'closed' | 'connecting' | 'live' | 'reconnecting' | 'signed-out';
  /** When this status started; for `reconnecting`, when the connection was lost. Milliseconds since 1970. */
  since: number;
  /** When the next attempt starts, while `reconnecting`; when the server is asked again, while `signed-out`. */
  retryAt: number | null;
  /** How often the connection was lost. */
  losses: number;
  error: string | null;
  /** Why nobody is signed in, while `signed-out`. */
  reason: Reason | null;
}

/** The state before the first connection. */
export const CLOSED: StreamState = { status: 'closed', since: 0, retryAt: null, losses: 0, error: null, reason: null };

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
/** About how often to ask whether somebody is signed in. */
const LOOK_MS = 60_000;

const NOTHING: Request = { topics: [], sessionId: null };

export class Stream {
  cursor: Cursor | null = null;
  #hangUpSource: (() => void) | null = null;
  #request = NOTHING;
  #state: StreamState;
  #attempt = 0;
  #heardAt = 0;
  #staleMs: number;
  #cancelTimer = () => {};
  /** The question who is signed in. */
  #asking: AbortController | null = null;
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
    this.#enter({ status: 'connecting', retryAt: null, error: null, reason: null });
    this.#connect();
  }

  close(): void {
    this.#hangUp();
    this.#hush();
    this.#attempt = 0;
    this.#request = NOTHING;
    if (this.#state.status !== 'closed') this.#enter({ status: 'closed', retryAt: null, reason: null });
  }

  /** Reconnect now: the user asked, or the network is back. */
  retry(force = false): void {
    if (this.#state.status === 'signed-out') this.#ask();
    else if (this.#state.status === 'reconnecting' || (force && this.#state.status !== 'closed')) this.#connect();
    else if (this.#state.status === 'live') this.#checkStale();
  }

  /** A snapshot was refused: find out whether the stream would be, too. */
  check(): void {
    if (this.#state.status !== 'signed-out' && this.#asking === null) this.#ask();
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
      this.cursor,
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
      this.#hush();
      this.#enter({ status: 'live', retryAt: null, error: null });
    }
    if (message.type === 'error') this.#enter({ error: message.error });
    this.#listener.message(message, cursor);
    if (message.type === 'error' && message.error === 'access_ended') this.#lose(message.error);
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
    this.#ask();
  }

  #ask(): void {
    this.#hush();
    const { signal } = (this.#asking = new AbortController());
    const settle = (answer: () => void) => {
      if (signal.aborted) return;
      this.#asking = null;
      answer();
    };
    this.#environment.getJson(`${this.#options.base}/api/me`, signal).then(
      () => settle(() => this.#admit()),
      (error: unknown) => settle(() => this.#refuse(signedOutBy(error))),
    );
  }

  /** An answer that comes from now on counts no longer. */
  #hush(): void {
    this.#asking?.abort();
    this.#asking = null;
  }

  #admit(): void {
    if (this.#state.status !== 'signed-out') return;
    this.#attempt = 0;
    // Deliberate: the last thing here, because the listener may open the stream.
    if (this.#request === NOTHING) this.close();
    else this.open(this.#request, this.cursor);
  }

  #refuse(answer: Reason | null): void {
    const reason = answer ?? this.#state.reason;
    if (reason === null) return; // it is not about access: the attempts go on
    this.#hangUp();
    const delay = LOOK_MS * (0.5 + this.#environment.random() / 2);
    const losses = this.#state.losses + (this.#state.status === 'live' ? 1 : 0);
    const retryAt = this.#environment.now() + delay;
    this.#enter({ status: 'signed-out', retryAt, losses, error: reason, reason });
    this.#cancelTimer = this.#environment.later(delay, () => this.#ask());
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

/**
 * Access: who is signed in at a server, and what they may do there, as it last said.
 *
 * Invariant: `me` is what `GET /api/me` answered last, and null from the moment at which the stream says that it counts
 * no longer. One store serves all components of a page. Knows no React.
 */
import { delayBefore } from './backoff';
import type { Feed } from './feed';
import { Listeners } from './listeners';
import { signedOutBy, type Reason } from './refusal';

export type Role = 'viewer' | 'operator' | 'admin';
export type Scope = 'read' | 'ingest' | 'operate' | 'metrics' | 'admin';

export interface Me {
  /** By what: a login, a key, the machine itself, or nothing, where no users exist. */
  access: 'open' | 'user' | 'key' | 'local';
  name: string | null;
  role: Role | null;
  scopes: readonly Scope[];
  login_id: string | null;
  expires_at: string | null;
}

export interface AccessState {
  /** Null until the first answer, and while nobody is signed in. */
  me: Me | null;
  signedOut: Reason | null;
  /** Why the server could not say. */
  error: Error | null;
}

/** The state before the first answer. */
export const UNKNOWN: AccessState = { me: null, signedOut: null, error: null };

export class Access {
  #state = UNKNOWN;
  #failures = 0;
  #reading: AbortController | null = null;
  #cancelRetry = () => {};
  #stopWatching = () => {};
  readonly #listeners = new Listeners();
  readonly #feed: Feed;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** The state; the same object until it changes. */
  readonly get = (): AccessState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    const remove = this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      if (remove() && this.#listeners.size === 0) this.#stop();
    };
  };

  /** Ask the server again. */
  readonly reload = (): void => {
    this.#cancelRetry();
    this.#reading?.abort();
    const { environment, options } = this.#feed;
    const { signal } = (this.#reading = new AbortController());
    environment.getJson(`${options.base}/api/me`, signal).then(
      ({ body }) => {
        if (!signal.aborted) this.take(body as Me);
      },
      (error: unknown) => {
        if (!signal.aborted) this.#fail(error);
      },
    );
  };

  /** The server has said it: in answer to a login, too. */
  take(me: Me): void {
    this.#settle({ me, signedOut: null, error: null });
  }

  #start(): void {
    let ended = false;
    let told: Reason | null = null;
    const stopWatching = this.#feed.watch(() => {
      const { status, reason, error } = this.#feed.state;
      const left = told !== null && reason === null;
      if (reason !== null && reason !== told) this.#settle({ me: null, signedOut: reason, error: null });
      told = reason;
      if (reason === null && error === 'access_ended') ended = true;
      else if (left || (ended && status === 'live')) {
        // Who signed in may be somebody else, and who stayed may have other rights.
        ended = false;
        this.reload();
      }
    });
    const stopReturn = this.#feed.environment.onReturn(() => {
      if (this.#state.signedOut !== null) this.reload();
    });
    this.#stopWatching = () => {
      stopWatching();
      stopReturn();
    };
    this.reload();
  }

  #stop(): void {
    this.#stopWatching();
    this.#cancelRetry();
    this.#reading?.abort();
  }

  #fail(error: unknown): void {
    const signedOut = signedOutBy(error);
    if (signedOut !== null) return this.#settle({ me: null, signedOut, error: null });
    const { environment, options } = this.#feed;
    this.#cancelRetry = environment.later(
      delayBefore(this.#failures++, options.reconnectMs, environment.random()),
      this.reload,
    );
    this.#enter({ ...this.#state, error: error instanceof Error ? error : new Error(String(error)) });
  }

  #settle(state: AccessState): void {
    this.#failures = 0;
    this.#cancelRetry();
    this.#reading?.abort();
    this.#enter(state);
  }

  #enter(state: AccessState): void {
    this.#state = state;
    this.#listeners.call();
  }
}

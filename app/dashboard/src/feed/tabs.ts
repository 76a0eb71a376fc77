/**
 * Tabs: one tab of a browser leads, and all of them exchange messages.
 *
 * Invariant: at most one living tab leads at a time. When it is gone for any reason another one leads, because the
 * browser passes its lock on. Without Web Locks (plain HTTP to another machine) every tab leads on its own and hears no
 * other.
 */
import type { Channel, Environment } from './environment';

export interface TabsListener {
  /** This tab leads from now on. */
  lead(): void;
  /** Another tab took the lead away because this one seemed dead. */
  follow(): void;
  hear(message: unknown): void;
}

export class Tabs {
  readonly id: string;
  #channel: Channel | null = null;
  #stopping: AbortController | null = null;
  #release = () => {};
  readonly #name: string;
  readonly #environment: Environment;
  readonly #listener: TabsListener;

  constructor(name: string, environment: Environment, listener: TabsListener) {
    this.id = Math.floor(environment.random() * 2 ** 48).toString(36);
    this.#name = name;
    this.#environment = environment;
    this.#listener = listener;
  }

  /** Join the others; leads at once if there are no locks. */
  start(): void {
    const { locks, openChannel } = this.#environment;
    this.#stopping = new AbortController();
    if (!locks || !openChannel) {
      this.#listener.lead();
      return;
    }
    this.#channel = openChannel(this.#name, (message) => this.#listener.hear(message));
    const { signal } = this.#stopping;
    this.#hold(`${this.#name}/tab/${this.id}`, { signal }, () => {});
    this.#queue();
  }

  stop(): void {
    this.#stopping?.abort();
    this.#stopping = null;
    this.#release();
    this.#release = () => {};
    this.#channel?.close();
    this.#channel = null;
  }

  say(message: unknown): void {
    this.#channel?.postMessage(message);
  }

  /** Take the lead from a tab that the browser considers alive but that does not answer. */
  seize(): void {
    if (this.#environment.locks && this.#stopping) {
      this.#hold(`${this.#name}/leader`, { steal: true }, () => this.#listener.lead());
    }
  }

  /** Call back when another tab is gone, whether it closed or crashed. */
  watch(tab: string, gone: () => void): void {
    const stopping = this.#stopping;
    if (!this.#environment.locks || !stopping) return;
    this.#environment.locks
      .request(`${this.#name}/tab/${tab}`, { signal: stopping.signal }, async () => gone())
      .catch(ignoreAbort);
  }

  /** Wait for the lead. */
  #queue(): void {
    const signal = this.#stopping?.signal;
    if (signal) this.#hold(`${this.#name}/leader`, { signal }, () => this.#listener.lead());
  }

  #hold(lock: string, options: { steal?: boolean; signal?: AbortSignal }, granted: () => void): void {
    const stopping = this.#stopping;
    const until = new Promise<void>((resolve) => {
      const before = this.#release;
      this.#release = () => {
        before();
        resolve();
      };
    });
    this.#environment.locks
      ?.request(lock, options, async () => {
        if (stopping?.signal.aborted) return;
        granted();
        await until;
      })
      .catch((error: unknown) => {
        ignoreAbort(error);
        if (stopping === null || stopping !== this.#stopping) return;
        this.#listener.follow();
        this.#queue();
      });
  }
}

/** A request is aborted when the tab stops, and a held lock when another tab seizes it; both are expected. */
function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) console.error('tabs: a lock failed', error);
}

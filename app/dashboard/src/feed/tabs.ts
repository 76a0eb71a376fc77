/**
 * Tabs: one tab of a browser leads, and all of them exchange messages.
 *
 * Invariant: at most one living tab leads at a time. When it is gone for any reason another one leads, because the
 * browser passes its lock on. Without Web Locks (plain HTTP to another machine) or channels, or where the browser refuses
 * them (site data is blocked), every tab leads on its own and hears no other.
 */
import type { Channel, Environment, Locks } from './environment';
import { attempt } from './listeners';

type LockOptions = Parameters<Locks['request']>[1];

export interface TabsListener {
  /** This tab leads from now on. */
  lead(): void;
  /** Another tab took the lead away. */
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

  /** Join the others, at the end of the queue or, if it seizes the lead, as their leader; leads at once if it cannot. */
  start(seizing = false): void {
    const { signal } = (this.#stopping = new AbortController());
    try {
      if (this.#environment.locks)
        this.#channel = this.#environment.openChannel?.(this.#name, (message) => this.#listener.hear(message)) ?? null;
    } catch {
      // refused
    }
    if (!this.#channel) return this.#listener.lead();
    this.#hold(`${this.#name}/tab/${this.id}`, { signal }, () => {});
    if (seizing) this.seize();
    else this.#queue();
  }

  stop(): void {
    this.#stopping?.abort();
    this.#stopping = null;
    this.#leave();
  }

  say(message: unknown): void {
    attempt(() => this.#channel?.postMessage(message));
  }

  /** Take the lead from another tab, whether it answers or not. */
  seize(): void {
    this.#hold(`${this.#name}/leader`, { steal: true }, () => this.#listener.lead());
  }

  /** Call back when another tab is gone, whether it closed or crashed. */
  watch(tab: string, gone: () => void): void {
    const signal = this.#stopping?.signal;
    if (signal) void this.#request(`${this.#name}/tab/${tab}`, { signal }, async () => gone());
  }

  /** Wait for the lead. */
  #queue(): void {
    const signal = this.#stopping?.signal;
    if (signal) this.#hold(`${this.#name}/leader`, { signal }, () => this.#listener.lead());
  }

  #hold(lock: string, options: LockOptions, granted: () => void): void {
    const stopping = this.#stopping;
    const until = new Promise<void>((resolve) => {
      const before = this.#release;
      this.#release = () => {
        before();
        resolve();
      };
    });
    void this.#request(lock, options, async () => {
      if (stopping?.signal.aborted) return;
      granted();
      await until;
    });
  }

  async #request(lock: string, options: LockOptions, granted: () => Promise<void>): Promise<void> {
    const stopping = this.#stopping;
    try {
      if (this.#channel) await this.#environment.locks?.request(lock, options, granted);
    } catch (error) {
      if (stopping === null || stopping !== this.#stopping || !this.#channel) return; // aborted, as it should be
      if ((error as Error | null)?.name === 'AbortError') {
        // Another tab has seized it.
        this.#listener.follow();
        this.#queue();
      } else {
        this.#leave();
        this.#listener.lead();
      }
    }
  }

  #leave(): void {
    this.#release();
    this.#release = () => {};
    this.#channel?.close();
    this.#channel = null;
  }
}

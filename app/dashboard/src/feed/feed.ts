/**
 * Feed: everything that one page receives from one server, over one connection per browser.
 *
 * Invariant: a reader that is attached gets each change of its topics exactly once, whichever tab holds the connection.
 * The leading tab opens the connection that serves the needs of all tabs and passes every message on, numbered; a tab
 * that finds a number missing restarts its readers from snapshots. The first reader opens the source, the last one
 * closes it.
 */
import { signedOutBy } from './refusal';
import type { Cursor } from './cursor';
import { RequestError, type Environment } from './environment';
import { Listeners } from './listeners';
import { covers, requestFor, startFor, type Coverage, type Need } from './plan';
import { Reader, type Delivery, type ReaderListener } from './reader';
import { Stream, type StreamOptions, type StreamState } from './stream';
import { Tabs } from './tabs';
import type { Message, Position, Topic } from './protocol';

/** Messages between tabs. */
type Word =
  | { kind: 'hello'; leader: string; state: StreamState; number: number }
  | { kind: 'delivery'; leader: string; delivery: Delivery; number: number }
  | { kind: 'state'; leader: string; state: StreamState }
  | { kind: 'needs'; tab: string; needs: Need[] }
  | { kind: 'retry'; refused?: boolean };

/** How long readers that are loading a snapshot may delay the connection for the others. */
const GATHER_MS = 400;
/** Stands for the number of the leader's last message until we have received one. */
const UNKNOWN = -1;

export interface FeedOptions extends Partial<StreamOptions> {
  base?: string;
}

export class Feed {
  readonly environment: Environment;
  readonly options: StreamOptions;
  readonly #readers = new Set<Reader>();
  readonly #watchers = new Listeners();
  readonly #listeners = new Listeners<[Message]>();
  /** The needs of all tabs; only the leader keeps them. */
  readonly #needs = new Map<string, { need: Need; joined: boolean }>();
  readonly #known = new Set<string>();
  readonly #tabs: Tabs;
  readonly #stream: Stream;
  #coverage: Coverage = { topics: [], sessionId: null, since: null };
  #leading = false;
  /** The page was left, and no connection of its own has started where its readers are. */
  #away = false;
  #leader = '';
  #number = UNKNOWN;
  #heardAt = 0;
  #state: StreamState;
  #cancelGather: (() => void) | null = null;
  #cancelWatch = () => {};
  #stopListening = () => {};

  constructor(environment: Environment, options: FeedOptions = {}) {
    this.environment = environment;
    this.options = { base: '', reconnectMs: 5000, staleMs: 45_000, ...options };
    this.#stream = new Stream(environment, this.options, {
      message: (message, cursor) => {
        if (message.type === 'connection') this.#confirm(message.data);
        this.#pass({ message, cursor, coverage: this.#coverage });
        if (message.type === 'connection') this.#serve();
      },
      state: (state) => {
        this.#passState(state);
        // Nobody was signed in before the stream was first opened.
        if (state.status === 'closed') this.#serve();
      },
    });
    this.#state = this.#stream.state;
    this.#tabs = new Tabs(`change-feed ${this.options.base}`, environment, {
      lead: () => this.#lead(),
      follow: () => {
        this.#follow();
        if (!this.#away) return;
        // Two pages came back at once. The other's connection started at its own cursors, so ours are void.
        this.#away = false;
        this.#restart();
      },
      hear: (message) => this.#hear(message as Word),
    });
  }

  /** The connection, as this tab knows it. */
  get state(): StreamState {
    return this.#state;
  }

  /** True while this tab holds the connection for all. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Call back when `state` changes; returns a function that stops. */
  watch(watcher: () => void): () => void {
    return this.#watchers.add(watcher);
  }

  /** Call back for every message, to measure the connection; returns a function that stops. */
  hearAll(listener: (message: Message) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** Read a snapshot by REST, with the cursor at which it was read; rejects on any status but 2xx. */
  async read(path: string, signal: AbortSignal): Promise<{ body: unknown; cursor: Cursor }> {
    const { body, cursor } = await this.ask(path, signal);
    if (cursor === null) throw new RequestError(200, body, `${path} answered without a cursor in Last-Event-ID`);
    return { body, cursor };
  }

  /** GET as JSON; where it is refused because nobody is signed in, the stream takes notice. */
  async ask(path: string, signal: AbortSignal): Promise<{ body: unknown; cursor: Cursor | null }> {
    try {
      return await this.environment.getJson(`${this.options.base}${path}`, signal);
    } catch (error) {
      if (signedOutBy(error) !== null) this.check();
      throw error;
    }
  }

  /** Attach a reader. Call `declare` once its cursor is known. */
  attach(topics: readonly Topic[], sessionId: string | null, listener: ReaderListener): Reader {
    const reader = new Reader(this.#tabs.id, topics, sessionId, listener);
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#start();
    return reader;
  }

  /** The reader is ready: make the connection serve it. */
  declare(reader: Reader): void {
    if (this.#readers.has(reader)) this.#announce();
  }

  detach(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size === 0) this.#stop();
    else this.#announce();
  }

  /** Reconnect now. */
  retry(): void {
    if (this.#leading) this.#stream.retry(true);
    else this.#tabs.say({ kind: 'retry' } satisfies Word);
  }

  /** Something was refused: find out whether it takes signing in. */
  check(): void {
    if (this.#leading) this.#stream.check();
    else this.#say({ kind: 'retry', refused: true });
  }

  #start(): void {
    const stopReturn = this.environment.onReturn(() => this.#return());
    const stopLeave = this.environment.onLeave(
      () => this.#leave(),
      () => this.#comeBack(),
    );
    this.#stopListening = () => {
      stopReturn();
      stopLeave();
    };
    this.#join();
  }

  #join(): void {
    this.#heardAt = this.environment.now();
    this.#watchLeader();
    this.#tabs.start(this.#away);
  }

  #stop(): void {
    this.#stopListening();
    this.#leave();
    this.#away = false;
  }

  /** Leave the other tabs: the page may be gone for good, or be kept frozen with all its readers. */
  #leave(): void {
    this.#away = true;
    if (!this.#leading) this.#say({ kind: 'needs', tab: this.#tabs.id, needs: [] });
    this.#cancelWatch();
    this.#cancelGather?.();
    this.#cancelGather = null;
    this.#follow();
    this.#tabs.stop();
    this.#leader = '';
    this.#passState(this.#stream.state);
  }

  /**
   * The browser shows a page that it had kept. What the leader passed on meanwhile was not heard, and nothing that it
   * passes on now tells so: take the lead, because a new connection starts at the cursors of this tab's readers.
   */
  #comeBack(): void {
    if (this.#away) this.#join();
  }

  /** The network or the page is back: stop waiting, and check whether the connection is still alive. */
  #return(): void {
    if (this.#leading) this.#stream.retry();
    else if (this.#state.status === 'reconnecting' || this.#state.status === 'signed-out') this.#say({ kind: 'retry' });
    else this.#checkLeader();
  }

  /** A leader passes on heartbeats and states; a long silence means that it is frozen or stuck. */
  #checkLeader(): void {
    if (this.#leading || this.environment.now() - this.#heardAt <= this.options.staleMs * 2) return;
    this.#heardAt = this.environment.now();
    this.#tabs.seize();
  }

  #watchLeader(): void {
    this.#cancelWatch = this.environment.later(this.options.staleMs, () => {
      this.#checkLeader();
      this.#watchLeader();
    });
  }

  #lead(): void {
    this.#leading = true;
    this.#leader = this.#tabs.id;
    this.#number = 0;
    this.#needs.clear();
    this.#known.clear();
    this.#say({ kind: 'hello', leader: this.#leader, state: this.#stream.state, number: 0 });
    // What the tab that led before was told is to be found out again: snapshots wait for it.
    if (this.#state.status === 'signed-out') this.#passState(this.#stream.state);
    // A page that is back asks first of all for what it missed: the answer tells whether its cursors still count.
    if (this.#away) this.#declareNow();
    this.#announce();
  }

  #follow(): void {
    this.#leading = false;
    this.#needs.clear();
    this.#stream.close();
    this.#stream.cursor = null;
    this.#coverage = { topics: [], sessionId: null, since: null };
  }

  /** Announce what this tab needs, once its snapshots are loaded or have taken too long. */
  #announce(): void {
    const waiting = [...this.#readers].some((reader) => reader.need === null);
    if (!waiting) {
      this.#cancelGather?.();
      this.#cancelGather = null;
      this.#declareNow();
    } else
      this.#cancelGather ??= this.environment.later(GATHER_MS, () => {
        this.#cancelGather = null;
        this.#declareNow();
      });
  }

  #declareNow(): void {
    const needs = [...this.#readers].flatMap((reader) => reader.need ?? []);
    if (this.#leading) this.#register(this.#tabs.id, needs);
    else this.#say({ kind: 'needs', tab: this.#tabs.id, needs });
  }

  #register(tab: string, needs: readonly Need[]): void {
    const keys = new Set(needs.map((need) => need.key));
    for (const key of this.#needs.keys()) if (key.startsWith(`${tab}/`) && !keys.has(key)) this.#needs.delete(key);
    for (const need of needs) {
      const before = this.#needs.get(need.key);
      if (!before) this.#needs.set(need.key, { need, joined: false });
    }
    this.#serve();
  }

  /** Make one connection serve all needs; reopen it only if it does not already. */
  #serve(): void {
    const { status } = this.#stream.state;
    const all = [...this.#needs.values()];
    if (all.length === 0) return; // snapshots are still loading: a tab without readers does not lead
    for (const entry of all)
      entry.joined ||= status === 'live' && covers(this.#coverage, entry.need, entry.need.cursor);
    const newcomers = all.filter((entry) => !entry.joined).map((entry) => entry.need);
    if (newcomers.length === 0 || (status !== 'live' && status !== 'closed')) return;
    const request = requestFor(all.map((entry) => entry.need));
    const since = startFor(this.#stream.cursor, newcomers, status === 'live');
    this.#coverage = { ...request, since };
    this.#stream.open(request, since);
  }

  /** The server has confirmed the cursor at which the connection starts. */
  #confirm(position: Position): void {
    const reset = position.status === 'reset';
    this.#away = false;
    if (this.#coverage.since === null || reset) this.#coverage = { ...this.#coverage, since: position.cursor };
    if (reset) for (const entry of this.#needs.values()) entry.joined = true; // their readers restart
  }

  #pass(delivery: Delivery): void {
    this.#number += 1;
    this.#say({ kind: 'delivery', leader: this.#leader, delivery, number: this.#number });
    this.#deliver(delivery);
  }

  #deliver(delivery: Delivery): void {
    this.#heardAt = this.environment.now();
    this.#listeners.call(delivery.message);
    for (const reader of [...this.#readers]) reader.deliver(delivery);
  }

  #passState(state: StreamState): void {
    if (this.#leading) this.#say({ kind: 'state', leader: this.#leader, state });
    this.#state = state;
    this.#watchers.call();
  }

  #say(word: Word): void {
    this.#tabs.say(word);
  }

  #hear(word: Word): void {
    if (word.kind === 'needs') this.#hearNeeds(word.tab, word.needs);
    else if (word.kind === 'retry') {
      if (this.#leading && word.refused) this.#stream.check();
      else if (this.#leading) this.#stream.retry(true);
    } else if (!this.#leading && !this.#away) this.#hearLeader(word);
  }

  #hearNeeds(tab: string, needs: readonly Need[]): void {
    if (!this.#leading) return;
    if (!this.#known.has(tab)) {
      this.#known.add(tab);
      this.#tabs.watch(tab, () => {
        this.#known.delete(tab);
        if (this.#leading) this.#register(tab, []);
      });
      this.#say({ kind: 'hello', leader: this.#leader, state: this.#stream.state, number: this.#number });
    }
    this.#register(tab, needs);
  }

  #restart(): void {
    for (const reader of [...this.#readers]) reader.restart();
  }

  #hearLeader(word: Exclude<Word, { kind: 'needs' | 'retry' }>): void {
    this.#heardAt = this.environment.now();
    if (word.leader !== this.#leader) {
      // A new leader does not know our needs yet; until it does, readers judge its messages by their coverage.
      // A tab that led until now did not listen to it, so it counts from the first message.
      this.#number = this.#leader === this.#tabs.id ? 0 : word.kind === 'hello' ? word.number : UNKNOWN;
      this.#leader = word.leader;
      this.#declareNow();
    }
    if (word.kind !== 'delivery') {
      this.#state = word.state;
      this.#watchers.call();
      return;
    }
    const missed = this.#number !== UNKNOWN && word.number !== this.#number + 1;
    this.#number = word.number;
    if (missed) this.#restart();
    this.#deliver(word.delivery);
  }
}

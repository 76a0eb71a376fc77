/**
 * Reader: one consumer of the stream, with its cursor.
 *
 * Invariant: it passes on each change that it asked for once, in order, starting right after the cursor given to
 * `ready`, whatever its listener throws. Until then it keeps what arrives. It ignores a connection that does not cover
 * everything from its cursor on, and waits for one that does.
 */
import { hasSeen, together, type Cursor } from './cursor';
import { attempt } from './listeners';
import { covers, type Coverage, type Need } from './plan';
import { concerns, type Change, type Message, type Topic } from './protocol';

/** A message, the cursor that it leads to, and what its connection covers. */
export interface Delivery {
  message: Message;
  cursor: Cursor | null;
  coverage: Coverage;
}

export interface ReaderListener {
  change(change: Change): void;
  /** The cursor is void: read a snapshot again, then call `ready`. */
  reset(): void;
  /** Every message about the connection instead of the rows. */
  notice?(message: Message): void;
}

/** If more than this arrives while a snapshot is loading, another snapshot is cheaper. */
const KEPT = 10_000;
let readers = 0;

export class Reader {
  key: string;
  readonly #tab: string;
  readonly topics: readonly Topic[];
  readonly sessionId: string | null;
  #cursor: Cursor | null = null;
  #kept: Delivery[] | null = [];
  readonly #listener: ReaderListener;

  constructor(tab: string, topics: readonly Topic[], sessionId: string | null, listener: ReaderListener) {
    this.#tab = tab;
    this.key = `${tab}/${++readers}`;
    this.topics = topics;
    this.sessionId = sessionId;
    this.#listener = listener;
  }

  /** The need to declare, or null until the snapshot is loaded. */
  get need(): Need | null {
    if (this.#kept !== null) return null;
    return { key: this.key, topics: this.topics, sessionId: this.sessionId, cursor: this.#cursor };
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  /** The cursor of the snapshot; null to start now, without one. */
  ready(cursor: Cursor | null): void {
    const kept = this.#kept ?? [];
    this.#kept = null;
    this.#cursor = cursor;
    for (const delivery of kept) this.#take(delivery);
  }

  deliver(delivery: Delivery): void {
    const { message } = delivery;
    if (message.type === 'connection' && message.data.status === 'reset') this.restart();
    if (message.type !== 'data') attempt(() => this.#listener.notice?.(message));
    if (this.#kept === null) this.#take(delivery);
    else if (this.#kept.length < KEPT) this.#kept.push(delivery);
    else this.restart();
  }

  /** Forget the cursor and ask for a new snapshot. */
  restart(): void {
    this.key = `${this.#tab}/${++readers}`; // a new need, so coverage is checked again
    this.#kept = [];
    this.#cursor = null;
    attempt(() => this.#listener.reset());
  }

  #take({ message, cursor, coverage }: Delivery): void {
    if (cursor === null || !covers(coverage, this, this.#cursor)) return;
    const before = this.#cursor;
    this.#cursor = before === null ? cursor : together([before, cursor]);
    if (message.type !== 'data' || (before !== null && hasSeen(before, message.data.id))) return;
    if (this.#wants(message.data)) attempt(() => this.#listener.change(message.data));
  }

  #wants(change: Change): boolean {
    return this.topics.includes(change.topic) && (this.sessionId === null || concerns(change, this.sessionId));
  }
}

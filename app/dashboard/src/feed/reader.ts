/**
 * Reader: one consumer's place in the change log.
 *
 * Invariant: it hands on each change that it asked for once, in order, beginning right after the cursor given to
 * `ready`. Until then it keeps what arrives; what the connection did not cover from its place on, it leaves for the
 * connection that will.
 */
import { isAtOrBefore, type Cursor } from './cursor';
import { covers, type Coverage, type Need } from './plan';
import { concerns, type Change, type Message, type Topic } from './protocol';

/** A message, with where it leads and what its connection covers. */
export interface Delivery {
  message: Message;
  cursor: Cursor | null;
  coverage: Coverage;
}

export interface ReaderListener {
  change(change: Change): void;
  /** The place is void: read a snapshot again, then call `ready`. */
  reset(): void;
  /** Every message that concerns the connection and not the rows. */
  notice?(message: Message): void;
}

/** More than this while a snapshot is read, and a newer snapshot is cheaper. */
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

  /** The need to declare, or null while the snapshot is not there. */
  get need(): Need | null {
    if (this.#kept !== null) return null;
    return { key: this.key, topics: this.topics, sessionId: this.sessionId, cursor: this.#cursor };
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  /** The snapshot ends here; null: from now on, without one. */
  ready(cursor: Cursor | null): void {
    const kept = this.#kept ?? [];
    this.#kept = null;
    this.#cursor = cursor;
    for (const delivery of kept) this.#take(delivery);
  }

  deliver(delivery: Delivery): void {
    const { message } = delivery;
    if (message.type === 'connection' && message.data.status === 'reset') this.restart();
    if (message.type !== 'data') this.#listener.notice?.(message);
    if (this.#kept === null) this.#take(delivery);
    else if (this.#kept.length < KEPT) this.#kept.push(delivery);
    else this.restart();
  }

  /** Forget the place and ask for a new snapshot. */
  restart(): void {
    this.key = `${this.#tab}/${++readers}`; // another need, to be judged anew
    this.#kept = [];
    this.#cursor = null;
    this.#listener.reset();
  }

  #take({ message, cursor, coverage }: Delivery): void {
    if (cursor === null || !covers(coverage, this, this.#cursor)) return;
    if (this.#cursor !== null && isAtOrBefore(cursor, this.#cursor)) return;
    this.#cursor = cursor;
    if (message.type === 'data' && this.#wants(message.data)) this.#listener.change(message.data);
  }

  #wants(change: Change): boolean {
    return this.topics.includes(change.topic) && (this.sessionId === null || concerns(change, this.sessionId));
  }
}

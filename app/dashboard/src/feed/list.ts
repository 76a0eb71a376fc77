/**
 * The newest rows of a topic, newest first, as a plot for a replica.
 *
 * Invariant: the rows are those of the table that match the filter, newest first, at most `limit`. Rows
 * older than the last row of a full list stay out, so the list never has a hole.
 */
import type { Feed } from './feed';
import type { Change, Topic } from './protocol';
import type { Plot, Snapshot } from './replica';
import type { RowOf } from './rows';

export interface ListOptions<T extends Topic> {
  sessionId?: string | null;
  /** Keep only rows for which this is true; must agree with `query`. */
  matches?: (row: RowOf[T]) => boolean;
  /** Further parameters of the REST query, such as `resolved=false`. */
  query?: Readonly<Record<string, string>>;
  limit?: number;
}

/** Rows, newest first; `floor` is the sort key below which rows were left out. */
export interface List<R> {
  rows: readonly R[];
  floor: string | null;
}

/** The column that a topic's list is sorted by. */
const TIME: { readonly [T in Topic]: keyof RowOf[T] } = {
  sessions: 'created_at',
  movements: 'movement_time',
  alerts: 'triggered_at',
  metrics: 'timestamp',
};

const LIMIT = 500;

/** The plot of a topic's newest rows. */
export function listOf<T extends Topic>(topic: T, options: ListOptions<T> = {}): Plot<List<RowOf[T]>> {
  const limit = options.limit ?? LIMIT;
  const sessionId = options.sessionId ?? null;
  const matches = (row: RowOf[T]) => belongs(row, sessionId) && (options.matches?.(row) ?? true);
  return {
    topics: [topic],
    sessionId,
    load: (feed, signal) => loadList(feed, signal, topic, sessionId, limit, options.query ?? {}),
    apply: (list, changes) => applyChanges(list, changes, topic, limit, matches),
  };
}

/** An instant as text that sorts: pads the fraction to six digits, because PostgreSQL omits trailing zeros. */
export function instantKey(time: string): string {
  const [seconds = '', rest = ''] = [time.slice(0, 19), time.slice(19)];
  const fraction = /^\.(\d+)/.exec(rest)?.[1] ?? '';
  return `${seconds}.${fraction.padEnd(6, '0')}`;
}

async function loadList<T extends Topic>(
  feed: Feed,
  signal: AbortSignal,
  topic: T,
  sessionId: string | null,
  limit: number,
  query: Readonly<Record<string, string>>,
): Promise<Snapshot<List<RowOf[T]>>> {
  const parameters = new URLSearchParams({ limit: String(limit), ...query });
  if (sessionId !== null) parameters.set('session_id', sessionId);
  const { body, cursor } = await feed.read(`/api/${topic}?${parameters}`, signal);
  const { items, next } = body as { items: RowOf[T][]; next: string | null };
  const rows = [...items].sort((a, b) => compare(keyOf(topic, b), keyOf(topic, a)));
  const last = rows.at(-1);
  const floor = next !== null && last ? keyOf(topic, last) : null;
  return { value: { rows, floor }, cursor };
}

function applyChanges<T extends Topic>(
  list: List<RowOf[T]>,
  changes: readonly Change[],
  topic: T,
  limit: number,
  matches: (row: RowOf[T]) => boolean,
): List<RowOf[T]> {
  const rows = [...list.rows];
  let { floor } = list;
  for (const change of changes) {
    if (change.topic !== topic || change.action === 'TEST') continue;
    const row = change.data as RowOf[T];
    const at = change.action === 'INSERT' ? -1 : rows.findIndex((other) => other.id === row.id);
    if (at >= 0) rows.splice(at, 1);
    if (change.action === 'DELETE' || !matches(row)) continue;
    const key = keyOf(topic, row);
    if (floor !== null && key < floor) continue;
    rows.splice(indexFor(rows, topic, key), 0, row);
    if (rows.length > limit) {
      rows.pop();
      const last = rows.at(-1);
      if (last) floor = keyOf(topic, last);
    }
  }
  return { rows, floor };
}

/** The index at which a row belongs. Searches from the top, because new rows nearly always come first. */
function indexFor<T extends Topic>(rows: readonly RowOf[T][], topic: T, key: string): number {
  let index = 0;
  for (const row of rows) {
    if (keyOf(topic, row) <= key) break;
    index += 1;
  }
  return index;
}

function keyOf<T extends Topic>(topic: T, row: RowOf[T]): string {
  return `${instantKey(String(row[TIME[topic]]))} ${row.id}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function belongs(row: RowOf[Topic], sessionId: string | null): boolean {
  if (sessionId === null) return true;
  return 'session_id' in row ? row.session_id === sessionId : row.id === sessionId;
}

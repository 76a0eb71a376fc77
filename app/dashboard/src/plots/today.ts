/**
 * Today: how many people entered and exited since midnight: counted by the server once, then change by change.
 *
 * Invariant: each movement counts once. The two counts are read at two cursors, so each skips the changes that it
 * already contains.
 */
import { contains, earliest, type Cursor } from '../feed/cursor';
import type { Feed } from '../feed/feed';
import type { Change, ChangeOf } from '../feed/protocol';
import type { Plot } from '../feed/replica';
import type { Direction } from '../feed/rows';

interface Count {
  total: number;
  cursor: Cursor;
}
export interface Today {
  in: Count;
  out: Count;
}

/** The plot of the counts since a time. */
export function todayPlot(midnight: Date): Plot<Today> {
  const since = midnight.getTime();
  return {
    topics: ['movements'],
    sessionId: null,
    async load(feed, signal) {
      const [entered, exited] = await Promise.all([
        count(feed, signal, midnight, 'in'),
        count(feed, signal, midnight, 'out'),
      ]);
      return {
        value: { in: entered, out: exited },
        cursor: earliest([entered.cursor, exited.cursor]),
      };
    },
    apply: (today, changes) => ({
      in: advance(today.in, 'in', changes, since),
      out: advance(today.out, 'out', changes, since),
    }),
  };
}

async function count(feed: Feed, signal: AbortSignal, since: Date, direction: Direction): Promise<Count> {
  const query = new URLSearchParams({ from: since.toISOString(), direction, count: 'true', limit: '1' });
  const { body, cursor } = await feed.read(`/api/movements?${query}`, signal);
  return { total: (body as { total: number }).total, cursor };
}

function advance(count: Count, direction: Direction, changes: readonly Change[], since: number): Count {
  let { total } = count;
  for (const change of changes) {
    if (change.topic === 'movements' && !contains(count.cursor, change.id)) total += weight(change, direction, since);
  }
  return { ...count, total };
}

function weight(change: ChangeOf<'movements'>, direction: Direction, since: number): number {
  const counts = (row: ChangeOf<'movements'>['old_data']) =>
    row !== null && row.movement_direction === direction && Date.parse(row.movement_time) >= since ? 1 : 0;
  if (change.action === 'INSERT') return counts(change.data);
  if (change.action === 'DELETE') return -counts(change.data);
  return change.action === 'UPDATE' ? counts(change.data) - counts(change.old_data) : 0;
}

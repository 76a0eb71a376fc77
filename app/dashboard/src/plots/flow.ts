/**
 * Flow: people in and out per minute of the last hour, counted from the movements.
 *
 * Invariant: a new movement counts once, although the pages of the snapshot are read one after another while movements
 * arrive.
 */
import type { Cursor } from '../feed/cursor';
import type { Feed } from '../feed/feed';
import type { Change } from '../feed/protocol';
import type { Plot, Snapshot } from '../feed/replica';
import type { Movement } from '../feed/rows';

export const MINUTE = 60_000;
const MINUTES = 60;
const PAGES = 12;
const PAGE = 1000;
/** The most movements that a snapshot reads. */
export const FLOW_ROWS = PAGES * PAGE;

export interface Minute {
  start: number;
  in: number;
  out: number;
}
/** Minutes by their start; `known` holds the movements of later pages, which the stream may deliver again. */
export interface Flow {
  minutes: ReadonlyMap<number, Minute>;
  known: ReadonlySet<string>;
  /** True if there were more movements than we read, so the oldest minutes lack some. */
  cut: boolean;
}

/** The plot of the last hour's flow, of all sessions or of one. */
export function flowPlot(sessionId: string | null = null): Plot<Flow> {
  return {
    topics: ['movements'],
    sessionId,
    load: (feed, signal) => loadFlow(feed, signal, sessionId),
    apply: applyFlow,
  };
}

/** The minutes of the hour before now, oldest first, empty ones included. */
export function lastHour(flow: Flow, now: number): Minute[] {
  const last = Math.floor(now / MINUTE) * MINUTE;
  return Array.from({ length: MINUTES }, (_, index) => {
    const start = last - (MINUTES - 1 - index) * MINUTE;
    return flow.minutes.get(start) ?? { start, in: 0, out: 0 };
  });
}

async function loadFlow(feed: Feed, signal: AbortSignal, sessionId: string | null): Promise<Snapshot<Flow>> {
  const minutes = new Map<number, Minute>();
  const known = new Set<string>();
  const query = new URLSearchParams({
    from: new Date(feed.environment.now() - MINUTES * MINUTE).toISOString(),
    limit: String(PAGE),
  });
  if (sessionId !== null) query.set('session_id', sessionId);
  let first: Cursor | null = null;
  for (let page = 0; ; page += 1) {
    const { body, cursor } = await feed.read(`/api/movements?${query}`, signal);
    const { items, next } = body as { items: Movement[]; next: string | null };
    first ??= cursor;
    for (const row of items) {
      if (page > 0) known.add(row.id);
      add(minutes, row, 1);
    }
    if (next === null || page === PAGES - 1) return { value: { minutes, known, cut: next !== null }, cursor: first };
    query.set('after', next);
  }
}

function applyFlow(flow: Flow, changes: readonly Change[]): Flow {
  const minutes = new Map(flow.minutes);
  for (const change of changes) {
    if (change.topic !== 'movements' || change.action === 'TEST') continue;
    if (change.action === 'INSERT' && flow.known.has(change.data.id)) continue;
    if (change.action !== 'DELETE') add(minutes, change.data, 1);
    if (change.action !== 'INSERT') add(minutes, change.old_data ?? change.data, -1);
  }
  const oldest = Math.max(...minutes.keys()) - 2 * MINUTES * MINUTE;
  for (const start of minutes.keys()) if (start < oldest) minutes.delete(start);
  return { ...flow, minutes };
}

function add(minutes: Map<number, Minute>, row: Movement, weight: number): void {
  const start = Math.floor(Date.parse(row.movement_time) / MINUTE) * MINUTE;
  const minute = minutes.get(start) ?? { start, in: 0, out: 0 };
  minutes.set(start, { ...minute, [row.movement_direction]: minute[row.movement_direction] + weight });
}

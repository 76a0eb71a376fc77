/**
 * Flow: people in and out per minute of the last hour, as the server counts them.
 *
 * Invariant: a movement counts once, in its own minute. The answer has the cursor at which it was read, and the stream
 * goes on from there.
 */
import type { Change } from '../feed/protocol';
import type { Plot } from '../feed/replica';
import type { Movement } from '../feed/rows';

export const MINUTE = 60_000;
const MINUTES = 60;
/** Clocks may be a little ahead: what they sent is asked for as well, and shown once its minute has come. */
const AHEAD = 3;

export interface Minute {
  start: number;
  in: number;
  out: number;
}
/** Minutes by their start; those without a movement may be missing. */
export type Flow = ReadonlyMap<number, Minute>;

/** The plot of the last hour's flow, of all sessions. */
export function flowPlot(): Plot<Flow> {
  return {
    topics: ['movements'],
    sessionId: null,
    async load(feed, signal) {
      const now = feed.environment.now();
      const at = (minutes: number) => new Date(now + minutes * MINUTE).toISOString();
      const query = new URLSearchParams({ bucket: 'minute', from: at(1 - MINUTES), to: at(AHEAD) });
      const { body, cursor } = await feed.read(`/api/analytics/flow?${query}`, signal);
      const value = new Map<number, Minute>();
      for (const bucket of body as { start: string; entered: number; exited: number }[]) {
        const start = Date.parse(bucket.start);
        value.set(start, { start, in: bucket.entered, out: bucket.exited });
      }
      return { value, cursor };
    },
    apply: applyFlow,
  };
}

/** The minutes of the hour before now, oldest first, empty ones included. */
export function lastHour(flow: Flow, now: number): Minute[] {
  const last = Math.floor(now / MINUTE) * MINUTE;
  return Array.from({ length: MINUTES }, (_, index) => {
    const start = last - (MINUTES - 1 - index) * MINUTE;
    return flow.get(start) ?? { start, in: 0, out: 0 };
  });
}

function applyFlow(flow: Flow, changes: readonly Change[]): Flow {
  const minutes = new Map(flow);
  for (const change of changes) {
    if (change.topic !== 'movements' || change.action === 'TEST') continue;
    if (change.action !== 'DELETE') add(minutes, change.data, 1);
    if (change.action !== 'INSERT') add(minutes, change.old_data ?? change.data, -1);
  }
  const oldest = Date.now() - 2 * MINUTES * MINUTE;
  for (const start of minutes.keys()) if (start < oldest) minutes.delete(start);
  return minutes;
}

function add(minutes: Map<number, Minute>, row: Movement, weight: number): void {
  const start = Math.floor(Date.parse(row.movement_time) / MINUTE) * MINUTE;
  const minute = minutes.get(start) ?? { start, in: 0, out: 0 };
  minutes.set(start, { ...minute, [row.movement_direction]: minute[row.movement_direction] + weight });
}

/**
 * Latest: the newest reading of each active session, with the short history that a sparkline shows.
 *
 * Invariant: a door that sends no readings has none here; what its movements add up to, only the server counts.
 */
import type { Change } from '../feed/protocol';
import type { Plot } from '../feed/replica';
import type { Metric } from '../feed/rows';

const KEPT = 60;
/** A reading that is further ahead is of a clock that is wrong; the server's CLOCK_MARGIN_SECONDS. */
const AHEAD_MS = 120_000;
/** Cameras report about once a second; one that has not for this long is shown as quiet. */
export const QUIET_MS = 15_000;

/** One session of /api/sessions/figures. */
export interface Door {
  session_id: string;
  inside: number;
  /** Null where it is counted from movements. */
  taken_at: string | null;
  counts: number[];
  entered_last_minute: number | null;
  exited_last_minute: number | null;
  fps: number | null;
  last_movement: string | null;
}

export interface Reading {
  takenAt: string;
  inside: number;
  entered: number | null;
  exited: number | null;
  fps: number | null;
  /** The newest counts, oldest first. */
  counts: readonly number[];
}
export type Latest = ReadonlyMap<string, Reading>;

/** The plot of every active session's newest reading; bounded by the number of sessions. */
export function latestPlot(): Plot<Latest> {
  return {
    topics: ['metrics'],
    sessionId: null,
    async load(feed, signal) {
      const { body, cursor } = await feed.read('/api/sessions/figures', signal);
      const value = new Map<string, Reading>();
      for (const door of body as Door[])
        if (door.taken_at !== null)
          value.set(door.session_id, {
            takenAt: door.taken_at,
            inside: door.inside,
            entered: door.entered_last_minute,
            exited: door.exited_last_minute,
            fps: door.fps,
            counts: door.counts,
          });
      return { value, cursor };
    },
    apply(before, changes: readonly Change[]) {
      const latest = new Map(before);
      for (const change of changes)
        if (change.topic === 'metrics' && (change.action === 'INSERT' || change.action === 'UPDATE'))
          take(latest, change.data);
      return latest;
    },
  };
}

/** The first session that reported within `withinMs`; where none did, the one that did last, or else the first. */
export function liveliest<S extends { id: string }>(
  sessions: readonly S[],
  latest: Latest,
  now: number,
  withinMs = QUIET_MS,
): S | undefined {
  const taken = ({ id }: S) => Date.parse(latest.get(id)?.takenAt ?? '') || 0;
  const recent = sessions.find((session) => now - taken(session) <= withinMs);
  return recent ?? [...sessions].sort((a, b) => taken(b) - taken(a))[0];
}

/** Whether a reading is one of now, or of a clock that is ahead. */
export function isOfNow(takenAt: string): boolean {
  return Date.parse(takenAt) <= Date.now() + AHEAD_MS;
}

function take(latest: Map<string, Reading>, metric: Metric): void {
  const before = latest.get(metric.session_id);
  if (before && Date.parse(metric.timestamp) < Date.parse(before.takenAt)) return;
  if (!isOfNow(metric.timestamp)) return;
  latest.set(metric.session_id, {
    takenAt: metric.timestamp,
    inside: metric.current_people_count,
    entered: metric.people_entered_last_minute,
    exited: metric.people_exited_last_minute,
    fps: metric.fps_current,
    counts: [...(before?.counts ?? []), metric.current_people_count].slice(-KEPT),
  });
}

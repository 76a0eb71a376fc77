/**
 * The plan: which one connection serves everybody's needs, and from where. Pure.
 *
 * Invariant: a need is joined only when a connection covers it that began at or before its cursor; so between a
 * snapshot and the stream nothing is missing. What comes twice is dropped by each reader.
 */
import { earliest, isAtOrBefore, latest, type Cursor } from './cursor';
import type { Topic } from './protocol';
import type { Request } from './stream';

/** What one reader, in whichever tab, wants of the stream. */
export interface Need {
  key: string;
  topics: readonly Topic[];
  sessionId: string | null;
  /** Where its snapshot ends; null: from now on. */
  cursor: Cursor | null;
}

/** What the connection has carried since `since`; null until the server has said where it starts. */
export interface Coverage extends Request {
  since: Cursor | null;
}

/** Tell whether a connection carries all that a need asks for. */
export function carries(request: Request, need: Pick<Need, 'topics' | 'sessionId'>): boolean {
  return (
    need.topics.every((topic) => request.topics.includes(topic)) &&
    (request.sessionId === null || request.sessionId === need.sessionId)
  );
}

/** Tell whether a reader at a cursor misses nothing on this connection. */
export function covers(coverage: Coverage, need: Pick<Need, 'topics' | 'sessionId'>, cursor: Cursor | null): boolean {
  return (
    carries(coverage, need) && (cursor === null || (coverage.since !== null && isAtOrBefore(coverage.since, cursor)))
  );
}

/** The smallest request that serves all needs. */
export function requestFor(needs: readonly Need[]): Request {
  const topics = [...new Set(needs.flatMap((need) => need.topics))].sort();
  const sessionIds = new Set(needs.map((need) => need.sessionId));
  return { topics, sessionId: sessionIds.size === 1 ? ([...sessionIds][0] ?? null) : null };
}

/**
 * Where a connection must begin for those who have not joined and for what has been read so far.
 *
 * Deliberate: while the server has confirmed no place yet, it begins at the newest one. A log that was replaced by an
 * older one does not know that place and says so with a reset; the oldest one it might take for its own.
 */
export function startFor(reached: Cursor | null, newcomers: readonly Need[], confirmed: boolean): Cursor | null {
  const cursors = newcomers.flatMap((need) => (need.cursor === null ? [] : [need.cursor]));
  if (reached !== null) cursors.push(reached);
  return confirmed ? earliest(cursors) : latest(cursors);
}

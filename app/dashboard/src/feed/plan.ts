/**
 * The plan: which single connection serves all needs, and from which cursor. Pure.
 *
 * Invariant: a need is joined only by a connection that covers it and started at or before its cursor, so nothing is
 * missing between a snapshot and the stream. Each reader drops what it already has.
 */
import { earliest, isAtOrBefore, together, type Cursor } from './cursor';
import type { Topic } from './protocol';
import type { Request } from './stream';

/** What one reader, in any tab, needs from the stream. */
export interface Need {
  key: string;
  topics: readonly Topic[];
  sessionId: string | null;
  /** The cursor of its snapshot; null to start now. */
  cursor: Cursor | null;
}

/** What the connection has carried since the cursor `since`; null until the server has confirmed it. */
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
 * The cursor at which a connection must start, given what has been received and the needs that have not joined.
 *
 * Deliberate: until the server has confirmed a cursor, start at what any of them has seen. If an older log has replaced
 * this one, it does not know the latest change and answers with a reset; it could mistake an earlier one for its own.
 */
export function startFor(reached: Cursor | null, newcomers: readonly Need[], confirmed: boolean): Cursor | null {
  const cursors = newcomers.flatMap((need) => (need.cursor === null ? [] : [need.cursor]));
  if (reached !== null) cursors.push(reached);
  return confirmed ? earliest(cursors) : together(cursors);
}

/**
 * The wire: what the stream sends, as types, and the only parser of its text.
 *
 * Invariant: a Message is well-formed as far as we read it. Malformed text is `null`, never an exception: one bad frame
 * must not end a page's stream.
 */
import { parseCursor, type Cursor } from './cursor';
import type { RowOf } from './rows';

export const TOPICS = ['sessions', 'movements', 'alerts', 'metrics'] as const;
export type Topic = (typeof TOPICS)[number];
export type Action = 'INSERT' | 'UPDATE' | 'DELETE' | 'TEST';

/** One row's change; `topic` tells which row it is. */
export interface ChangeOf<T extends Topic> {
  topic: T;
  /** Names the change; rises in commit order. */
  id: number;
  table: string;
  action: Action;
  data: RowOf[T];
  old_data: RowOf[T] | null;
  /** Seconds since 1970, when the writer committed. */
  timestamp: number;
}
export type Change = { [T in Topic]: ChangeOf<T> }[Topic];

export interface Position {
  topics: Topic[];
  cursor: Cursor;
  status: 'live' | 'resumed' | 'reset';
  /** How long the stream is silent at most, in milliseconds; 0 if the server did not say. */
  heartbeatMs: number;
}

export type Message =
  | { type: 'connection'; data: Position; timestamp: string }
  | { type: 'data'; data: Change; timestamp: string }
  | { type: 'error'; error: string; message: string; timestamp: string }
  | { type: 'heartbeat'; timestamp: string };

const TOPIC_OF_TABLE: Readonly<Record<string, Topic>> = {
  sessions: 'sessions',
  people_movements: 'movements',
  alert_logs: 'alerts',
  realtime_metrics: 'metrics',
};

type Fields = Record<string, unknown>;

/** Parse one frame's data. */
export function parseMessage(text: string): Message | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isFields(value)) return null;
  const timestamp = typeof value.timestamp === 'string' ? value.timestamp : '';
  switch (value.type) {
    case 'connection':
      return connection(value.data, timestamp);
    case 'data':
      return change(value.data, timestamp);
    case 'error':
      return { type: 'error', error: String(value.error), message: String(value.message ?? ''), timestamp };
    case 'heartbeat':
      return { type: 'heartbeat', timestamp };
    default:
      return null;
  }
}

/** Tell whether a change concerns a session, by its new or its old row. */
export function concerns(change: Change, sessionId: string): boolean {
  return (
    sessionOf(change.topic, change.data) === sessionId ||
    (change.old_data !== null && sessionOf(change.topic, change.old_data) === sessionId)
  );
}

function sessionOf(topic: Topic, row: RowOf[Topic]): string | null {
  return topic === 'sessions' ? row.id : 'session_id' in row ? row.session_id : null;
}

function connection(data: unknown, timestamp: string): Message | null {
  const cursor = isFields(data) ? parseCursor(data.cursor) : null;
  if (!isFields(data) || cursor === null) return null;
  const status = data.status === 'reset' || data.status === 'resumed' ? data.status : 'live';
  const topics = Array.isArray(data.topics) ? TOPICS.filter((topic) => (data.topics as unknown[]).includes(topic)) : [];
  const heartbeatMs = typeof data.heartbeat_seconds === 'number' ? data.heartbeat_seconds * 1000 : 0;
  return { type: 'connection', data: { topics, cursor, status, heartbeatMs }, timestamp };
}

function change(data: unknown, timestamp: string): Message | null {
  if (!isFields(data) || typeof data.id !== 'number' || !isFields(data.data)) return null;
  const topic = TOPIC_OF_TABLE[String(data.table)];
  if (!topic) return null;
  // The row is rendered by PostgreSQL (row_to_json); the types in rows.ts follow its columns.
  return { type: 'data', data: { ...data, topic } as unknown as Change, timestamp };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

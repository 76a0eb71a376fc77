/** What the server says of a range: series of readings, flow, and the typical week. */
import { get } from '../api/rest';
import { bucketOf, type Range } from './range';

/** Least, mean and most of the readings of a point. */
export interface Spread {
  min: number;
  mean: number;
  max: number;
}
export const FIGURES = [
  'current_people_count',
  'people_entered_last_minute',
  'people_exited_last_minute',
  'fps_current',
  'cpu_usage_percentage',
  'memory_usage_mb',
  'processing_latency_ms',
] as const;
export type Figure = (typeof FIGURES)[number];

export type Point = { start: string; readings: number } & Record<Figure, Spread | null>;
export interface Series {
  resolution: 'readings' | 'minutes' | 'hours';
  /** How wide a point is. */
  seconds: number;
  points: readonly Point[];
}

export interface FlowBucket {
  start: string;
  entered: number;
  exited: number;
  occupancy: number;
  peak: number;
}

/** One hour of a typical week; 1 is Monday. */
export interface ProfileHour {
  weekday: number;
  hour: number;
  hours: number;
  entered_mean: number;
  occupancy_mean: number;
}

export function seriesPath(sessionId: string, range: Range, points: number): string {
  return `/api/metrics/series?${new URLSearchParams({ session_id: sessionId, ...moments(range), points: String(points) })}`;
}

/** Of one session or of all, by the days of the browser's zone. */
export function flowPath(range: Range, sessionId: string | null): string {
  const query = { bucket: bucketOf(range), tz: zoneName(), ...moments(range) };
  return `/api/analytics/flow?${new URLSearchParams(sessionId === null ? query : { ...query, session_id: sessionId })}`;
}

export function profilePath(range: Range): string {
  return `/api/analytics/profile?${new URLSearchParams({ tz: zoneName(), ...moments(range) })}`;
}

/** The answers to these requests, in their order. */
export function readAll<R>(paths: readonly string[], signal: AbortSignal): Promise<R[]> {
  return Promise.all(paths.map((path) => get<R>(path, signal)));
}

function moments({ from, to }: Range) {
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

function zoneName(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

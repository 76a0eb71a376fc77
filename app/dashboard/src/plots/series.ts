/**
 * Series: the readings of sessions as columns of numbers, for charts.
 *
 * Invariant: times rise within a series, and a series never holds more than KEPT readings. Columns grow in
 * place, because copying them for each reading would cost more than drawing them; `version` changes when they grow.
 */
import type { Cursor } from '../feed/cursor';
import type { Feed } from '../feed/feed';
import type { Change } from '../feed/protocol';
import type { Plot } from '../feed/replica';
import type { Metric } from '../feed/rows';

export const COLUMNS = ['inside', 'in', 'out', 'fps', 'cpu', 'memory', 'latency'] as const;
export type Column = (typeof COLUMNS)[number];
export interface Series {
  times: number[];
  columns: Record<Column, (number | null)[]>;
}
export interface SeriesSet {
  byId: Map<string, Series>;
  version: number;
  partial: boolean;
}

const PAGE = 1000;
export const KEPT = 24_000;

/** The plot of one session's readings within a window that ends now. */
export function seriesPlot(sessionId: string, windowMs: number): Plot<SeriesSet> {
  return {
    topics: ['metrics'],
    sessionId,
    async load(feed, signal) {
      const { rows, cursor, partial } = await loadRows(feed, signal, sessionId, windowMs);
      const series = emptySeries();
      for (const row of rows.reverse()) append(series, row);
      return { value: { byId: new Map([[sessionId, series]]), version: 0, partial }, cursor };
    },
    apply(set, changes: readonly Change[]) {
      for (const change of changes) {
        if (change.topic !== 'metrics' || change.action !== 'INSERT') continue;
        const series = set.byId.get(sessionId);
        if (series) append(series, change.data);
      }
      return { ...set, version: set.version + 1 };
    },
  };
}

async function loadRows(feed: Feed, signal: AbortSignal, sessionId: string, windowMs: number) {
  const rows: Metric[] = [];
  const query = new URLSearchParams({
    session_id: sessionId,
    limit: String(PAGE),
    from: new Date(feed.environment.now() - windowMs).toISOString(),
  });
  let first: Cursor | null = null;
  for (;;) {
    const { body, cursor } = await feed.read(`/api/metrics?${query}`, signal);
    const { items, next } = body as { items: Metric[]; next: string | null };
    first ??= cursor;
    rows.push(...items);
    if (next === null || rows.length >= KEPT - PAGE) return { rows, cursor: first, partial: next !== null };
    query.set('after', next);
  }
}

export function emptySeries(): Series {
  return { times: [], columns: { inside: [], in: [], out: [], fps: [], cpu: [], memory: [], latency: [] } };
}

function append({ times, columns }: Series, row: Metric): void {
  const at = Date.parse(row.timestamp) / 1000;
  const last = times.at(-1);
  if (last !== undefined && at < last) return; // too late: a chart needs its times in order
  times.push(at);
  columns.inside.push(row.current_people_count);
  columns.in.push(row.people_entered_last_minute);
  columns.out.push(row.people_exited_last_minute);
  columns.fps.push(row.fps_current);
  columns.cpu.push(row.cpu_usage_percentage);
  columns.memory.push(row.memory_usage_mb);
  columns.latency.push(row.processing_latency_ms);
  if (times.length <= KEPT) return;
  times.splice(0, PAGE);
  for (const column of COLUMNS) columns[column].splice(0, PAGE);
}

/** The mean of a column in each of `steps` equal steps between two times; null where there was no reading. */
export function sampled(series: Series, column: Column, from: number, to: number, steps: number): (number | null)[] {
  const { times } = series;
  const values = series.columns[column];
  const width = (to - from) / steps;
  const hold = Math.max(1, Math.ceil(6 / width)); // some seconds, or slow cameras' lines would be dots
  const result: (number | null)[] = Array.from({ length: steps }, () => null);
  let index = firstAfter(times, from);
  let before: number | null = null;
  let age = 0;
  for (let step = 0; step < steps; step += 1) {
    const end = from + (step + 1) * width;
    let [sum, count] = [0, 0];
    for (; index < times.length && (times[index] as number) < end; index += 1) {
      const value = values[index];
      if (value != null) {
        sum += value;
        count += 1;
      }
    }
    if (count > 0) {
      before = sum / count;
      age = 0;
    } else age += 1;
    result[step] = age < hold ? before : null;
  }
  return result;
}

function firstAfter(times: readonly number[], from: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Latest: the newest reading of each session, with the short history that a sparkline shows. */
import type { Change } from '../feed/protocol';
import type { Plot } from '../feed/replica';
import type { Metric } from '../feed/rows';

const KEPT = 60;
const LOADED = 600;

export interface Reading {
  metric: Metric;
  /** The newest counts, oldest first. */
  counts: readonly number[];
}
export type Latest = ReadonlyMap<string, Reading>;

/** The plot of every session's newest reading; bounded by the number of sessions. */
export function latestPlot(): Plot<Latest> {
  return {
    topics: ['metrics'],
    sessionId: null,
    async load(feed, signal) {
      const { body, cursor } = await feed.read(`/api/metrics?limit=${LOADED}`, signal);
      const latest = new Map<string, Reading>();
      for (const metric of (body as { items: Metric[] }).items.reverse()) take(latest, metric);
      return { value: latest, cursor };
    },
    apply(before, changes: readonly Change[]) {
      const latest = new Map(before);
      for (const change of changes) {
        if (change.topic === 'metrics' && (change.action === 'INSERT' || change.action === 'UPDATE'))
          take(latest, change.data);
      }
      return latest;
    },
  };
}

function take(latest: Map<string, Reading>, metric: Metric): void {
  const before = latest.get(metric.session_id);
  if (before && metric.timestamp < before.metric.timestamp) return;
  const counts = [...(before?.counts ?? []), metric.current_people_count].slice(-KEPT);
  latest.set(metric.session_id, { metric, counts });
}

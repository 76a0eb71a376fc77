/** Latency: how long changes took from their commit to this page, by both clocks. */
import { feedOf } from '../feed/shared';

const KEPT = 100;
const spans: number[] = [];

/** Listen for as long as the page lives to whatever others asked for; the answer ends that. */
export function measureLatency(): () => void {
  return feedOf().hearAll((message) => {
    if (message.type !== 'data') return;
    spans.push(Date.now() - message.data.timestamp * 1000);
    if (spans.length > KEPT) spans.shift();
  });
}

/** The median of the newest changes in milliseconds, null before the first. */
export function medianLatency(): { median: number; last: number; count: number } | null {
  if (spans.length === 0) return null;
  const sorted = spans.toSorted((a, b) => a - b);
  return { median: Math.max(0, sorted[sorted.length >> 1] as number), last: spans.at(-1) as number, count: spans.length };
}

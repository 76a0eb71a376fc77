/**
 * Latency: the time from commit to this page.
 *
 * It compares the database's clock with the browser's, so it includes their skew.
 */
import { feedOf } from '../feed/shared';

const KEPT = 100;
/** An older change arrives while catching up: it tells how far behind the page is, not how fast the feed is. */
const BEHIND_MS = 3000;
const spans: number[] = [];
let last = { span: 0, at: 0 };

/** Measure every message that this page receives; returns a function that stops. */
export function measureLatency(): () => void {
  return feedOf().hearAll((message) => {
    if (message.type !== 'data') return;
    const now = Date.now();
    last = { span: Math.max(0, now - message.data.timestamp * 1000), at: now };
    if (last.span >= BEHIND_MS) return;
    spans.push(last.span);
    if (spans.length > KEPT) spans.shift();
  });
}

/** The median over the newest changes, in milliseconds; null before the first. */
export function medianLatency(): { median: number; count: number } | null {
  if (spans.length === 0) return null;
  const sorted = [...spans].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1] as number, count: spans.length };
}

/** How far behind the page is while it catches up, in milliseconds; null when it is current. */
export function behind(now: number): number | null {
  return last.span >= BEHIND_MS && now - last.at < 2000 ? last.span : null;
}

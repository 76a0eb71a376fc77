/**
 * Back-off: how long to wait before an attempt.
 *
 * Invariant: the first wait is at most a fifth of the interval, each later one is twice as long, and none exceeds six
 * intervals. Half of each wait is random, so that a restart does not bring all pages back at once.
 */
export function delayBefore(attempt: number, intervalMs: number, random: number): number {
  const ceiling = Math.min((intervalMs / 5) * 2 ** Math.min(attempt, 16), intervalMs * 6);
  return ceiling * (0.5 + random / 2);
}

/**
 * Back-off: how long to wait before a try.
 *
 * The first waits up to a fifth of the interval, each next one doubles, none waits longer than six intervals; half of it
 * is random, so that a restart does not bring all pages back at once.
 */
export function delayBefore(attempt: number, intervalMs: number, random: number): number {
  const ceiling = Math.min((intervalMs / 5) * 2 ** Math.min(attempt, 16), intervalMs * 6);
  return ceiling * (0.5 + random / 2);
}

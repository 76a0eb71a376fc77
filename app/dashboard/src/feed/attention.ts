/**
 * Attention: whether an alert is waiting for somebody.
 *
 * Invariant: an open alert is waiting, in hand or muted, and what somebody has in hand is in hand even if it is muted.
 * Only those that are waiting call for attention. A server of before knows neither; there every open alert is waiting.
 */
import type { Totals } from '../api/stats';
import type { Alert } from './rows';

export type Attention = 'waiting' | 'in-hand' | 'muted';
export const ATTENTION: readonly Attention[] = ['waiting', 'in-hand', 'muted'];

export function attentionOf({ acknowledged_at, muted_until }: Alert, now: number): Attention {
  if (acknowledged_at) return 'in-hand';
  return muted_until && Date.parse(muted_until) > now ? 'muted' : 'waiting';
}

/** Those that are waiting first, then those in hand, then muted ones; within each as they come. */
export function byAttention(alerts: readonly Alert[], now: number): readonly Alert[] {
  return ATTENTION.flatMap((one) => alerts.filter((alert) => attentionOf(alert, now) === one));
}

/** How many of the open alerts are waiting. */
export function waitingOf({ now: { open_alerts, alerts_in_hand = 0, alerts_muted = 0 } }: Totals): number {
  return open_alerts - alerts_in_hand - alerts_muted;
}

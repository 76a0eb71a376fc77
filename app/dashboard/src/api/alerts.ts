/** Alerts as work: taking them in hand with a note, and muting their kinds; and how each is taken back. */
import type { Alert } from '../feed/rows';
import { currentWords } from '../i18n/language';
import { offer } from './actions';
import { send } from './rest';

const MINUTE = 60_000;
/** The longest that the server mutes for. */
export const WEEK_MINUTES = 7 * 24 * 60;

/** Minutes until six in the morning of the next day on this clock. */
export function minutesUntilMorning(now: number): number {
  const morning = new Date(now);
  morning.setDate(morning.getDate() + 1);
  morning.setHours(6, 0, 0, 0);
  return Math.ceil((morning.getTime() - now) / MINUTE);
}

/** Take these alerts in hand. Those that somebody has in hand already stay theirs. */
export async function acknowledgeAlerts(ids: readonly string[], note: string): Promise<void> {
  const path = '/api/alerts/acknowledge';
  const answer = await send<{ acknowledged: number; acknowledged_at: string }>('POST', path, {
    ids,
    ...(note ? { note } : {}),
  });
  const { acknowledged = 0, acknowledged_at } = answer ?? {};
  const { t, number } = currentWords();
  const text = acknowledged === 1 ? t('Alert in hand') : t('{n} alerts in hand', { n: number(acknowledged) });
  offer(text, acknowledged > 0, '/api/alerts/unacknowledge', { acknowledged_at });
}

/** Mute the kinds of these alerts. */
export async function muteAlerts(ids: readonly string[], minutes: number): Promise<void> {
  const answer = await send<{ muted: number }>('POST', '/api/alerts/mute', { ids, minutes });
  const { muted = 0 } = answer ?? {};
  const { t, number } = currentWords();
  const text = muted === 1 ? t('Alert muted') : t('Muted {n} alerts', { n: number(muted) });
  offer(text, muted > 0, '/api/alerts/unmute', { ids });
}

/** Let the kind of an alert be heard again; taken back, it is muted for as long as was left. */
export async function unmuteAlert({ id, muted_until }: Alert): Promise<void> {
  const left = Math.ceil((Date.parse(muted_until ?? '') - Date.now()) / MINUTE);
  await send('POST', '/api/alerts/unmute', { ids: [id] });
  const minutes = Math.min(WEEK_MINUTES, left);
  offer(currentWords().t('Alert unmuted'), minutes > 0, '/api/alerts/mute', { ids: [id], minutes });
}

export async function changeNote({ id, note: before }: Alert, note: string): Promise<void> {
  const path = `/api/alerts/${id}`;
  await send('PATCH', path, { note: note || null });
  offer(currentWords().t('Note changed'), true, path, { note: before }, 'PATCH');
}

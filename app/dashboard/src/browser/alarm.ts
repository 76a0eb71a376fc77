/** Alarm: shows a toast for each new alert that is waiting and, if the operator wants them, a sound and a notification. */
import type { Alert } from '../feed/rows';
import { attempt } from '../feed/listeners';
import { feedOf } from '../feed/shared';
import { currentWords } from '../i18n/language';
import { currentSettings } from './settings';
import { toast } from './toasts';

/** Watch for alerts that are raised from now on; returns a function that stops. */
export function watchAlerts(): () => void {
  const feed = feedOf();
  const reader = feed.attach(['alerts'], null, {
    change: (change) => {
      if (change.topic === 'alerts' && change.action === 'INSERT' && isNews(change.data)) raise(change.data);
    },
    reset: () => reader.ready(null),
  });
  reader.ready(null);
  feed.declare(reader);
  return () => feed.detach(reader);
}

/** Ask for permission to notify; must be called from a click. */
export async function allowNotifications(): Promise<NotificationPermission | 'insecure'> {
  attempt(() => chime(0.02)); // browsers allow sound only after a click, too
  if (typeof Notification === 'undefined' || !isSecureContext) return 'insecure';
  return Notification.permission === 'default' ? Notification.requestPermission() : Notification.permission;
}

/** The database mutes a new alert only while its kind is muted, so no clock of this browser needs to be asked. */
function isNews({ is_resolved, acknowledged_at, muted_until }: Alert): boolean {
  return !is_resolved && !acknowledged_at && !muted_until;
}

function raise(alert: Alert): void {
  const text = alert.alert_message ?? alert.alert_type;
  toast({ kind: 'alert', sessionId: alert.session_id, text, href: '/alerts' });
  if (!currentSettings().notify) return;
  // Only the tab that holds the connection makes a sound: six tabs must not ring six times.
  if (!feedOf().leading) return;
  attempt(() => chime(0.12));
  attempt(() => notify(text, alert.id));
}

/** Throws where only service workers may notify, as on Android. */
function notify(body: string, tag: string): void {
  if (typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
  // A notification with the same tag replaces the earlier one.
  const notification = new Notification(currentWords().t('New alert'), { body, tag });
  notification.onclick = () => {
    window.focus();
    notification.close();
  };
}

let audio: AudioContext | undefined;

function chime(volume: number): void {
  audio ??= new AudioContext();
  void audio.resume();
  const start = audio.currentTime;
  for (const [index, frequency] of [660, 880].entries()) {
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(volume, start + index * 0.16);
    gain.gain.exponentialRampToValueAtTime(0.0001, start + index * 0.16 + 0.3);
    tone.connect(gain).connect(audio.destination);
    tone.start(start + index * 0.16);
    tone.stop(start + index * 0.16 + 0.32);
  }
}

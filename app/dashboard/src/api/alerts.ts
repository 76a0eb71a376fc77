/** Alerts: resolving them by hand. */
import { toast } from '../browser/toasts';
import { currentWords } from '../i18n/language';
import { send } from './rest';

/** Resolve alerts in one request, at the time of the database, and say how many were still open. */
export async function resolveAlerts(ids: readonly string[]): Promise<void> {
  const answer = await send<{ resolved: number }>('POST', '/api/alerts/resolve', { ids });
  const { t, number } = currentWords();
  toast({ kind: 'note', text: t('Resolved {n} alerts', { n: number(answer?.resolved ?? 0) }) });
}

/** One alert: its message, session and time, and a button to resolve it. */
import type { ReactNode } from 'react';
import { resolveAlerts } from '../api/actions';
import type { Alert, AlertType } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { KIND } from '../i18n/names';
import type { Key } from '../i18n/language';
import { Link, useMay } from './Kiosk';

export function AlertRow({ alert, session, select }: { alert: Alert; session: string; select?: ReactNode }) {
  const { t, number, span, dateTime } = useWords();
  const now = useNow();
  const may = useMay();
  const { busy, run } = useSend();
  // Other programs raise alerts of types of their own.
  const unit: Key = alert.alert_type in KIND ? KIND[alert.alert_type as AlertType][1] : '{n}';
  const began = Date.parse(alert.triggered_at);
  const lasted = alert.resolved_at ? t('lasted {time}', { time: span(Date.parse(alert.resolved_at) - began) }) : '';
  return (
    <li className={alert.is_resolved ? 'alert resolved' : 'alert'}>
      {select}
      <span className="alert-mark" aria-hidden="true" />
      <div className="alert-main">
        <strong>{alert.alert_message ?? alert.alert_type}</strong>
        <span>
          {alert.session_id ? <Link to={`/sessions/${alert.session_id}`}>{session}</Link> : session}
          {alert.current_value !== null && alert.threshold_value !== null && (
            <>
              {' '}
              ·{' '}
              {t('{value} at a limit of {limit}', {
                value: t(unit, { n: number(alert.current_value) }),
                limit: number(alert.threshold_value),
              })}
            </>
          )}
        </span>
      </div>
      <div className="alert-time">
        <time>{dateTime(alert.triggered_at)}</time>
        <span>{alert.is_resolved ? lasted : t('open for {time}', { time: span(Math.max(1000, now - began)) })}</span>
      </div>
      {!alert.is_resolved && may('operate') && (
        <button
          type="button"
          aria-label={`${t('Resolve')}: ${alert.alert_message ?? alert.alert_type}, ${session}`}
          disabled={busy}
          onClick={() => void run(() => resolveAlerts({ ids: [alert.id] }))}
        >
          {t('Resolve')}
        </button>
      )}
    </li>
  );
}

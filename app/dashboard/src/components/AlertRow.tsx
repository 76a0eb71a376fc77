/** One alert: what, where, how bad, since when, and who has it in hand; with a button to resolve it, or those of `work`. */
import type { ReactNode } from 'react';
import { resolveAlerts } from '../api/actions';
import { attentionOf } from '../feed/attention';
import type { Alert, AlertType } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { KIND } from '../i18n/names';
import type { Key } from '../i18n/language';
import { Link, useMay } from './Kiosk';

export function AlertRow({
  alert,
  session,
  source,
  select,
  work,
}: {
  alert: Alert;
  session: string;
  /** Where the session's pictures come from. */
  source?: string | null;
  select?: ReactNode;
  /** What can be done with it besides being resolved. */
  work?: ReactNode;
}) {
  const { t, number, span, dateTime } = useWords();
  const now = useNow();
  const may = useMay();
  // Other programs raise alerts of types of their own.
  const unit: Key = alert.alert_type in KIND ? KIND[alert.alert_type as AlertType][1] : '{n}';
  const began = Date.parse(alert.triggered_at);
  const lasted = alert.resolved_at ? t('lasted {time}', { time: span(Date.parse(alert.resolved_at) - began) }) : '';
  const hasValue = alert.current_value !== null && alert.threshold_value !== null;
  return (
    <li className={`alert ${alert.is_resolved ? 'resolved' : attentionOf(alert, now)}`}>
      {select}
      <span className="alert-mark" aria-hidden="true" />
      <div className="alert-main">
        <strong>{alert.alert_message ?? alert.alert_type}</strong>
        <span>
          {alert.session_id ? <Link to={`/sessions/${alert.session_id}`}>{session}</Link> : session}
          {hasValue && (
            <>
              {' '}
              ·{' '}
              {t('{value} at a limit of {limit}', {
                value: t(unit, { n: number(alert.current_value!) }),
                limit: number(alert.threshold_value!),
              })}
            </>
          )}
        </span>
        {source && (
          <span className="alert-source" title={source}>
            {source}
          </span>
        )}
        <Care alert={alert} now={now} />
      </div>
      <div className="alert-time">
        <time>{dateTime(alert.triggered_at)}</time>
        <span>{alert.is_resolved ? lasted : t('open for {time}', { time: span(Math.max(1000, now - began)) })}</span>
      </div>
      {!alert.is_resolved && may('operate') && (
        <div className="alert-work">
          {work}
          <Resolve alert={alert} session={session} />
        </div>
      )}
    </li>
  );
}

/** Who has it in hand, what they say, and until when it is muted. */
function Care({ alert, now }: { alert: Alert; now: number }) {
  const { t, time, dateTime } = useWords();
  const at = (moment: string) =>
    new Date(moment).toDateString() === new Date(now).toDateString() ? time(moment) : dateTime(moment);
  const { acknowledged_at: since, acknowledged_by: name, muted_until: until, note, is_resolved } = alert;
  const muted = !is_resolved && until && Date.parse(until) > now;
  const values = { time: since ? at(since) : '', name: name ?? '' };
  const taken = !since
    ? ''
    : is_resolved
      ? t(name ? 'Taken in hand {time} by {name}' : 'Taken in hand {time}', values)
      : t(name ? 'In hand since {time} by {name}' : 'In hand since {time}', values);
  return (
    <>
      {(taken || note) && <span className="alert-care">{[taken, note].filter(Boolean).join(': ')}</span>}
      {muted && <span className="alert-care">{t('Muted until {time}', { time: at(until) })}</span>}
    </>
  );
}

function Resolve({ alert, session }: { alert: Alert; session: string }) {
  const { t } = useWords();
  const { busy, run } = useSend();
  return (
    <button
      type="button"
      aria-label={`${t('Resolve')}: ${alert.alert_message ?? alert.alert_type}, ${session}`}
      disabled={busy}
      onClick={() => void run(() => resolveAlerts({ ids: [alert.id] }))}
    >
      {t('Resolve')}
    </button>
  );
}

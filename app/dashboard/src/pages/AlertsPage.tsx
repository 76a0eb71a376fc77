/** Alerts: those that are waiting for somebody first, then those in hand and muted ones, and resolved ones; notifications, and the thresholds that raise them. */
import { useLayoutEffect, useRef, useState, type FocusEvent } from 'react';
import { resolveAlerts } from '../api/actions';
import { allowNotifications } from '../browser/alarm';
import { changeSettings, useSettings } from '../browser/settings';
import { toast } from '../browser/toasts';
import { attentionOf, byAttention, waitingOf } from '../feed/attention';
import type { Alert } from '../feed/rows';
import { useSessionNames, useSessionSources } from '../hooks/useList';
import { useNow } from '../hooks/useNow';
import { useAlertsSSE } from '../hooks/useRows';
import { useSend } from '../hooks/useSend';
import { useAsOf, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { AlertRow } from '../components/AlertRow';
import { AcknowledgeDialog, MuteDialog } from '../components/AlertDialogs';
import { AlertWork } from '../components/AlertWork';
import { Dialog } from '../components/Dialog';
import { useMay } from '../components/Kiosk';
import { Choice } from '../components/Choice';
import { Calm, Empty, Failed, Loading, Panel } from '../components/Panel';
import { Thresholds } from '../components/Thresholds';
import { AllClear, Shown } from '../components/Total';
import { setQuery, useAddress } from '../router';
import '../style/parts.css';
import '../style/pages.css';

const SHOWS = ['open', 'waiting', 'resolved', 'all'] as const;
type Show = (typeof SHOWS)[number];
const RESOLVED: Readonly<Record<Show, boolean | undefined>> = {
  open: false,
  waiting: false,
  resolved: true,
  all: undefined,
};

export function AlertsPage() {
  const { t } = useWords();
  const { searchParams } = useAddress();
  const asked = searchParams.get('show');
  const show = SHOWS.find((one) => one === asked) ?? 'open';
  const name = useSessionNames();
  return (
    <div className="alerts-page">
      <h1 className="unseen">{t('Alerts')}</h1>
      <Panel
        title={t('Alerts')}
        side={
          <Choice
            label={t('Status')}
            value={show}
            onChange={(value) => setQuery({ show: value === 'open' ? '' : value })}
            options={[
              { value: 'open', text: t('Open') },
              { value: 'waiting', text: t('Waiting') },
              { value: 'resolved', text: t('Resolved') },
              { value: 'all', text: t('All') },
            ]}
          />
        }
      >
        <Numbers />
        <List key={show} show={show} name={name} />
      </Panel>
      <div className="side">
        <Notify />
        <Thresholds name={name} />
      </div>
    </div>
  );
}

function List({ show, name }: { show: Show; name: (id: string | null) => string }) {
  const { t, number } = useWords();
  const { alerts: listed, cut, loading, error, reload } = useAlertsSSE(null, RESOLVED[show]);
  const now = useNow();
  const source = useSessionSources();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState(100);
  const [asking, setAsking] = useState<'acknowledge' | 'mute' | null>(null);
  const { busy, run } = useSend();
  const may = useMay();
  const isOpen = show === 'open' || show === 'waiting';
  const sorted = isOpen ? byAttention(listed, now) : listed;
  const alerts = show === 'waiting' ? sorted.filter((alert) => attentionOf(alert, now) === 'waiting') : sorted;
  const keepFocus = useFocusThatStays(alerts.map((alert) => alert.id).join());
  const open = alerts.filter((alert) => !alert.is_resolved);
  const chosen = open.filter((alert) => picked.has(alert.id));
  if (loading) return error ? <Failed error={error} retry={reload} /> : <Loading lines={8} />;
  if (alerts.length === 0)
    return show === 'open' ? (
      <AllClear error={error} />
    ) : show === 'waiting' ? (
      <NoneWaiting error={error} />
    ) : (
      <Empty icon="alerts">{t('No alerts here.')}</Empty>
    );
  return (
    <>
      {open.length > 0 && may('operate') && (
        <div className="select-bar">
          <label>
            <input
              type="checkbox"
              checked={chosen.length === open.length}
              onChange={(event) => setPicked(new Set(event.target.checked ? open.map((alert) => alert.id) : []))}
            />
            {t('Select all')}
          </label>
          {show === 'open' && cut && <Shown rows={listed.length} cut={cut} of={(all) => all.now.open_alerts} />}
          <div className="actions">
            <button
              type="button"
              className="primary"
              disabled={chosen.length === 0}
              onClick={() => setAsking('acknowledge')}
            >
              {t('Acknowledge {n}', { n: number(chosen.length) })}
            </button>
            <button type="button" disabled={chosen.length === 0} onClick={() => setAsking('mute')}>
              {t('Mute {n}', { n: number(chosen.length) })}
            </button>
            <button type="button" disabled={busy || chosen.length === 0} onClick={() => void resolveChosen()}>
              {t('Resolve {n}', { n: number(chosen.length) })}
            </button>
            {show === 'open' && <ResolveAll />}
          </div>
        </div>
      )}
      <ul className="alert-list" onFocus={keepFocus}>
        {alerts.slice(0, shown).map((alert) => (
          <AlertRow
            key={alert.id}
            alert={alert}
            session={name(alert.session_id)}
            source={source(alert.session_id)}
            select={may('operate') && checkbox(alert)}
            work={<AlertWork alert={alert} session={name(alert.session_id)} />}
          />
        ))}
      </ul>
      {asking === 'acknowledge' && (
        <AcknowledgeDialog
          title={t('Acknowledge {n} alerts', { n: number(chosen.length) })}
          ids={chosen.map((alert) => alert.id)}
          onClose={() => setAsking(null)}
          onDone={() => setPicked(new Set())}
        />
      )}
      {asking === 'mute' && (
        <MuteDialog
          title={t('Mute {n} alerts', { n: number(chosen.length) })}
          ids={chosen.map((alert) => alert.id)}
          onClose={() => setAsking(null)}
          onDone={() => setPicked(new Set())}
        />
      )}
      {cut && isOpen && !may('operate') && (
        <p className="note">
          <Shown rows={listed.length} cut of={(all) => all.now.open_alerts} />
        </p>
      )}
      {cut && !isOpen && <p className="quiet note">{t('at least {n}', { n: number(alerts.length) })}</p>}
      {alerts.length > shown && (
        <button type="button" className="more" onClick={() => setShown(shown + 100)}>
          {t('Show more')}
        </button>
      )}
    </>
  );

  async function resolveChosen(): Promise<void> {
    if (await run(() => resolveAlerts({ ids: chosen.map((alert) => alert.id) }))) setPicked(new Set());
  }

  function checkbox(alert: Alert) {
    if (alert.is_resolved) return <span className="no-check" />;
    return (
      <input
        type="checkbox"
        aria-label={t('Select alert: {name}', {
          name: `${alert.alert_message ?? alert.alert_type}, ${name(alert.session_id)}`,
        })}
        checked={picked.has(alert.id)}
        onChange={(event) => {
          const next = new Set(picked);
          if (event.target.checked) next.add(alert.id);
          else next.delete(alert.id);
          setPicked(next);
        }}
      />
    );
  }
}

/** How many of the open alerts are waiting, in hand and muted: the server's numbers, also of those that are not listed. */
function Numbers() {
  const { t, number } = useWords();
  const { totals, fresh } = useStats();
  const asOf = useAsOf();
  if (!totals || totals.now.open_alerts === 0) return null;
  const { alerts_in_hand = 0, alerts_muted = 0 } = totals.now;
  return (
    <p className={fresh ? 'numbers' : 'numbers stale'} title={asOf}>
      {t('{waiting} waiting for somebody, {taken} in hand, {muted} muted', {
        waiting: number(waitingOf(totals)),
        taken: number(alerts_in_hand),
        muted: number(alerts_muted),
      })}
    </p>
  );
}

function NoneWaiting({ error }: { error: Error | null }) {
  const { t } = useWords();
  const { totals, fresh } = useStats();
  return (
    <Calm known={fresh && totals !== null && waitingOf(totals) === 0} waiting={!error && (fresh || !totals)}>
      {t('No alert is waiting for somebody.')}
    </Calm>
  );
}

/** An alert goes elsewhere in the list once it is in hand or muted; the focus goes with it. */
function useFocusThatStays(order: string): (event: FocusEvent) => void {
  const focused = useRef<HTMLElement | null>(null);
  useLayoutEffect(() => {
    if (document.activeElement === document.body && focused.current?.isConnected)
      focused.current.focus({ preventScroll: true });
  }, [order]);
  return ({ target }) => {
    focused.current = target instanceof HTMLElement ? target : null;
  };
}

function ResolveAll() {
  const { t, number } = useWords();
  const { totals } = useStats();
  const [asking, setAsking] = useState(false);
  if (!totals) return null;
  return (
    <>
      <button type="button" onClick={() => setAsking(true)}>
        {t('Resolve all open')}
      </button>
      {asking && (
        <Dialog
          title={t('Resolve all {n} open alerts?', { n: number(totals.now.open_alerts) })}
          action={t('Resolve')}
          onClose={() => setAsking(false)}
          onSubmit={() => resolveAlerts({ all: true })}
        >
          <p>
            {t(
              'Of all sessions, also those that are not listed here. Those whose condition lasts can be opened again.',
            )}
          </p>
        </Dialog>
      )}
    </>
  );
}

function Notify() {
  const { t } = useWords();
  const { notify } = useSettings();
  const change = async (wanted: boolean) => {
    changeSettings({ notify: wanted });
    if (!wanted) return;
    const answer = await allowNotifications();
    if (answer === 'denied')
      toast({
        kind: 'note',
        text: t('This browser blocks notifications from this page. You can allow them in its settings.'),
      });
    else if (answer === 'insecure')
      toast({ kind: 'note', text: t('Browser notifications need HTTPS. The sound works without it.') });
  };
  return (
    <section className="panel notify">
      <label className="switch">
        <input type="checkbox" role="switch" checked={notify} onChange={(event) => void change(event.target.checked)} />
        <span>{t('Notify me')}</span>
      </label>
      <p className="quiet">
        {t(
          'Shows a notification and plays a short sound for each new alert that is not muted, even when another window is in front.',
        )}
      </p>
    </section>
  );
}

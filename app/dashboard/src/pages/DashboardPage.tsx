/** Dashboard: how many people are inside, who is passing, and which alerts are open. */
import { useContext, useMemo, type ComponentProps } from 'react';
import type { Totals } from '../api/stats';
import { byAttention, waitingOf } from '../feed/attention';
import type { Alert } from '../feed/rows';
import { flowPlot, lastHour, MINUTE, type Flow } from '../plots/flow';
import { latestPlot } from '../plots/latest';
import { useList, useActiveSessions, useSessionNames } from '../hooks/useList';
import { useNow } from '../hooks/useNow';
import { useReplica } from '../hooks/useReplica';
import { useAlertsSSE } from '../hooks/useRows';
import { useAsOf, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { AlertRow } from '../components/AlertRow';
import { AlertWork } from '../components/AlertWork';
import { FlowBars } from '../components/FlowBars';
import { Kiosk, Link } from '../components/Kiosk';
import { Movements } from '../components/Movements';
import { Empty, Failed, Loading, Panel } from '../components/Panel';
import { part } from '../components/part';
import { SessionCards } from '../components/SessionCards';
import { Tile } from '../components/Tile';
import { AllClear, Shown, Total } from '../components/Total';
import { useAddress } from '../router';

/** Full minutes that a rate is the mean of. */
const RATE_MINUTES = 5;
const ALERTS = 12;

const FirstSteps = part(() => import('../components/FirstSteps').then((file) => file.FirstSteps));
const HistoryPage = part(() => import('./HistoryPage').then((file) => file.HistoryPage));

export function DashboardPage() {
  const { searchParams } = useAddress();
  const kiosk = useContext(Kiosk);
  const hasRange = ['range', 'from'].some((name) => searchParams.has(name));
  return hasRange && !kiosk ? <HistoryPage /> : <Now />;
}

function Now() {
  const kiosk = useContext(Kiosk);
  const { t } = useWords();
  const { live } = useStats();
  const active = useActiveSessions();
  const movements = useList('movements', 'newest', { limit: 40 });
  const flow = useReplica('flow', flowPlot);
  const latest = useReplica('latest', latestPlot);
  const { alerts, cut, error: alertsError } = useAlertsSSE(null, false, { limit: 50 });
  const name = useSessionNames();
  const nothing = active.ready && movements.ready && active.rows.length === 0 && movements.rows.length === 0;
  const error = active.error ?? movements.error;
  if (nothing && !kiosk) return <FirstSteps />;
  return (
    <>
      <h1 className="unseen">{t('Dashboard')}</h1>
      {error && (
        <Failed
          error={error}
          retry={() => {
            active.reload();
            movements.reload();
          }}
        />
      )}
      <div className="dashboard">
        <Figures flow={flow.value} />
        <Panel
          title={t('Flow of the last hour')}
          className={live ? 'area-flow' : 'area-flow stale'}
          side={
            <>
              <Legend flow={flow.value} />
              {!kiosk && <Link to="/?range=7d">{t('History')}</Link>}
            </>
          }
        >
          {flow.value ? <HourFlow flow={flow.value} /> : <Loading lines={5} />}
        </Panel>
        <Panel title={t('Newest movements')} className="area-newest">
          {!movements.ready ? (
            <Loading lines={9} />
          ) : movements.rows.length === 0 ? (
            <Empty icon="person">{t('Nobody has passed yet.')}</Empty>
          ) : (
            <Movements movements={movements.rows} nameOf={name} />
          )}
        </Panel>
        <Panel
          title={t('Active sessions')}
          className="area-sessions"
          side={<Shown rows={active.rows.length} cut={active.cut} of={(all) => all.now.active_sessions} />}
        >
          {active.ready && latest.value ? <SessionCards sessions={active.rows} latest={latest.value} /> : <Loading />}
        </Panel>
        <Panel
          title={t('Open alerts')}
          className="area-alerts"
          side={
            <>
              <Shown
                rows={Math.min(alerts.length, ALERTS)}
                cut={cut || alerts.length > ALERTS}
                newest={false}
                of={(all) => all.now.open_alerts}
              />
              {!kiosk && <Link to="/alerts">{t('All')}</Link>}
            </>
          }
        >
          {alerts.length === 0 ? <AllClear error={alertsError} /> : <OpenAlerts alerts={alerts} name={name} />}
        </Panel>
      </div>
    </>
  );
}

function OpenAlerts({ alerts, name }: { alerts: readonly Alert[]; name: (id: string | null) => string }) {
  const now = useNow();
  return (
    <ul className="alert-list">
      {byAttention(alerts, now)
        .slice(0, ALERTS)
        .map((alert) => (
          <AlertRow
            key={alert.id}
            alert={alert}
            session={name(alert.session_id)}
            work={<AlertWork alert={alert} session={name(alert.session_id)} brief />}
          />
        ))}
    </ul>
  );
}

function Figures({ flow }: { flow: Flow | null }) {
  const { t, number } = useWords();
  const { totals, fresh } = useStats();
  const asOf = useAsOf();
  const now = useNow();
  const recent = flow ? lastHour(flow, now).slice(-1 - RATE_MINUTES, -1) : [];
  const rate = (direction: 'in' | 'out') =>
    flow
      ? t('{n} a minute, last {minutes} min', {
          n: number(recent.reduce((sum, minute) => sum + minute[direction], 0) / RATE_MINUTES, 1),
          minutes: RATE_MINUTES,
        })
      : undefined;
  const net = totals && totals.today.entered - totals.today.exited;
  const others = totals ? totals.now.open_alerts - waitingOf(totals) : 0;
  const faults = totals && [
    totals.now.silent_sessions > 0 &&
      t('{n} silent, with {inside} inside', {
        n: number(totals.now.silent_sessions),
        inside: number(totals.now.inside_silent),
      }),
    totals.now.ahead_sessions === 1
      ? t('1 clock ahead')
      : totals.now.ahead_sessions > 1 && t('{n} clocks ahead', { n: number(totals.now.ahead_sessions) }),
  ];
  const tile = (
    label: Key,
    of: (totals: Totals) => number,
    detail?: string,
    look?: Partial<ComponentProps<typeof Tile>>,
  ) => <Tile label={t(label)} value={<Total of={of} />} detail={asOf ?? detail} {...look} />;
  return (
    <div className="tiles area-figures">
      {tile(
        'Inside now',
        (all) => all.now.inside,
        net === null ? undefined : t('{n} net', { n: `${net > 0 ? '+' : ''}${number(net)}` }),
        { className: 'hero' },
      )}
      {tile('Entered today', (all) => all.today.entered, rate('in'), { icon: 'in', tone: 'in' })}
      {tile('Exited today', (all) => all.today.exited, rate('out'), { icon: 'out', tone: 'out' })}
      {tile('Peak today', (all) => all.today.peak, undefined, { icon: 'peak' })}
      {tile('Active sessions', (all) => all.now.active_sessions, faults?.filter(Boolean).join(' · ') || undefined, {
        icon: 'sessions',
      })}
      {tile('Alerts waiting', waitingOf, others > 0 ? t('{n} in hand or muted', { n: number(others) }) : undefined, {
        icon: 'alerts',
        tone: !fresh ? '' : totals && waitingOf(totals) > 0 ? 'bad' : 'good',
      })}
    </div>
  );
}

function HourFlow({ flow }: { flow: Flow }) {
  const { t, time } = useWords();
  const now = useNow();
  const bars = useMemo(() => lastHour(flow, now), [flow, Math.floor(now / MINUTE)]);
  const label = t('In the last hour {in} entered and {out} exited.', useHourSums(flow));
  return <FlowBars bars={bars} width={MINUTE} label={label} when={time} />;
}

function useHourSums(flow: Flow | null) {
  const { number } = useWords();
  const now = useNow();
  const sum = (direction: 'in' | 'out') =>
    flow ? number(lastHour(flow, now).reduce((all, minute) => all + minute[direction], 0)) : '–';
  return { in: sum('in'), out: sum('out') };
}

function Legend({ flow }: { flow: Flow | null }) {
  const { t } = useWords();
  const sums = useHourSums(flow);
  return (
    <span className="legend">
      <i className="in" />
      {t('{n} in', { n: sums.in })}
      <i className="out" />
      {t('{n} out', { n: sums.out })}
    </span>
  );
}

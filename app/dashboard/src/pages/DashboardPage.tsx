/** Dashboard: how many people are inside, who is passing, and which alerts are open. */
import { useEffect, useMemo, useState } from 'react';
import { flowPlot, lastHour, type Flow } from '../plots/flow';
import { latestPlot, type Latest } from '../plots/latest';
import { todayPlot } from '../plots/today';
import { useList, useActiveSessions, useSessionNames } from '../hooks/useList';
import { useNow } from '../hooks/useNow';
import { useReplica } from '../hooks/useReplica';
import { useAlertsSSE } from '../hooks/useRows';
import { useWords } from '../i18n/language';
import { AlertRow } from '../components/AlertRow';
import { FirstSteps } from '../components/FirstSteps';
import { FlowBars } from '../components/FlowBars';
import { Movements } from '../components/Movements';
import { Empty, Failed, Loading, Panel } from '../components/Panel';
import { SessionCards } from '../components/SessionCards';
import { Tile } from '../components/Tile';
import { follow } from '../router';

export function DashboardPage() {
  const { t, number } = useWords();
  const active = useActiveSessions();
  const movements = useList('movements', 'newest', { limit: 40 });
  const flow = useReplica('flow', flowPlot);
  const latest = useReplica('latest', latestPlot);
  const { alerts, loading: alertsLoading } = useAlertsSSE(null, false);
  const nameOf = useSessionNames();
  const name = (id: string | null) => nameOf(id) ?? t(id === null ? 'All sessions' : 'Deleted session');
  const nothing = active.ready && movements.ready && active.rows.length === 0 && movements.rows.length === 0;
  const error = active.error ?? movements.error;
  if (nothing) return <FirstSteps />;
  return (
    <div className="dashboard">
      {error && (
        <Failed
          error={error}
          retry={() => {
            active.reload();
            movements.reload();
          }}
        />
      )}
      <Figures
        active={active.rows.map((row) => row.id)}
        activeReady={active.ready}
        latest={latest.value}
        flow={flow.value}
        open={alerts.length}
      />
      <Panel title={t('Flow of the last hour')} className="area-flow" side={<Legend />}>
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
        side={<span className="quiet">{number(active.rows.length)}</span>}
      >
        {active.ready ? <SessionCards sessions={active.rows} latest={latest.value ?? new Map()} /> : <Loading />}
      </Panel>
      <Panel
        title={t('Open alerts')}
        className="area-alerts"
        side={
          <a href="/alerts" onClick={follow}>
            {t('All')}
          </a>
        }
      >
        {alertsLoading ? (
          <Loading lines={3} />
        ) : alerts.length === 0 ? (
          <Empty icon="check">{t('Nothing needs your attention.')}</Empty>
        ) : (
          <ul className="alert-list">
            {alerts.slice(0, 12).map((alert) => (
              <AlertRow key={alert.id} alert={alert} session={name(alert.session_id)} />
            ))}
          </ul>
        )}
      </Panel>
    </div>
  );
}

function Figures({
  active,
  activeReady,
  latest,
  flow,
  open,
}: {
  active: readonly string[];
  activeReady: boolean;
  latest: Latest | null;
  flow: Flow | null;
  open: number;
}) {
  const { t, number, time } = useWords();
  const today = useToday();
  const now = useNow();
  const inside =
    latest && activeReady
      ? active.reduce((sum, id) => sum + (latest.get(id)?.metric.current_people_count ?? 0), 0)
      : null;
  const peak = usePeak(inside, now);
  const recent = flow ? lastHour(flow, now).slice(-6, -1) : [];
  const rate = (direction: 'in' | 'out') =>
    t('{n} per minute', {
      n: number(recent.reduce((sum, minute) => sum + minute[direction], 0) / Math.max(1, recent.length), 1),
    });
  const shown = (value: number | null | undefined) => (value == null ? '–' : number(value));
  return (
    <div className="tiles area-figures">
      <Tile
        className="hero"
        label={t('Inside now')}
        value={shown(inside)}
        detail={today ? t('{n} net', { n: signed(today.in - today.out) }) : undefined}
      />
      <Tile
        label={t('Entered today')}
        icon="in"
        tone="in"
        value={shown(today?.in)}
        detail={flow ? rate('in') : undefined}
      />
      <Tile
        label={t('Exited today')}
        icon="out"
        tone="out"
        value={shown(today?.out)}
        detail={flow ? rate('out') : undefined}
      />
      <Tile
        label={t('Peak today')}
        icon="peak"
        value={shown(peak?.value)}
        detail={peak ? t('at {time}', { time: time(peak.at) }) : undefined}
      />
      <Tile label={t('Active sessions')} icon="sessions" value={activeReady ? number(active.length) : '–'} />
      <Tile label={t('Open alerts')} icon="alerts" tone={open > 0 ? 'bad' : 'good'} value={number(open)} />
    </div>
  );

  function signed(value: number): string {
    return `${value > 0 ? '+' : ''}${number(value)}`;
  }
}

function HourFlow({ flow }: { flow: Flow }) {
  const now = useNow();
  const minutes = useMemo(() => lastHour(flow, now), [flow, Math.floor(now / 60_000)]);
  return <FlowBars minutes={minutes} />;
}

function Legend() {
  const { t } = useWords();
  return (
    <span className="legend">
      <i className="in" />
      {t('In')}
      <i className="out" />
      {t('Out')}
    </span>
  );
}

function useToday(): { in: number; out: number } | null {
  const now = useNow();
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const { value } = useReplica(`today ${midnight}`, () => todayPlot(new Date(midnight)));
  return value && { in: value.in.total, out: value.out.total };
}

/** The highest count that this browser has seen today; stored, so that it survives a reload. */
function usePeak(inside: number | null, now: number): { value: number; at: number } | null {
  const key = `peak ${new Date(now).toDateString()}`;
  const [peak, setPeak] = useState<{ value: number; at: number } | null>(null);
  useEffect(() => {
    const stored = localStorage.getItem(key);
    setPeak(stored ? (JSON.parse(stored) as { value: number; at: number }) : null);
  }, [key]);
  useEffect(() => {
    if (inside === null || (peak && inside <= peak.value)) return;
    const next = { value: inside, at: Date.now() };
    localStorage.setItem(key, JSON.stringify(next));
    setPeak(next);
  }, [inside, peak, key]);
  return peak;
}

/** Session: one counting run with its charts, movements, alerts and settings. */
import { useEffect, useMemo, useState, type ComponentProps } from 'react';
import { changeTitle } from '../browser/title';
import { shownSource, type Metric, type Session } from '../feed/rows';
import { isOfNow } from '../plots/latest';
import { useNow } from '../hooks/useNow';
import { useAlertsSSE, useMetricsSSE, useMovementsSSE, useSessionsSSE } from '../hooks/useRows';
import { useAsOf, useInside, useSessionStats, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { AlertRow } from '../components/AlertRow';
import { AlertWork } from '../components/AlertWork';
import { Movements } from '../components/Movements';
import { Export } from '../components/Export';
import { Choice } from '../components/Choice';
import { Calm, Empty, Failed, Loading, Panel } from '../components/Panel';
import { Plane } from '../components/Plane';
import { SessionActions } from '../components/SessionActions';
import { SessionCharts, type Span } from '../components/SessionCharts';
import { RangePicker } from '../history/RangePicker';
import { SessionHistory } from '../history/SessionHistory';
import { useRange } from '../history/useRange';
import { Tile } from '../components/Tile';
import { Figure } from '../components/Total';
import { at } from '../feed/mount';
import { follow, go } from '../router';
import type { Key } from '../i18n/language';
import { STATUS } from '../i18n/states';
import '../style/parts.css';
import '../style/pages.css';

const WINDOWS = { '5': 300_000, '60': 3_600_000, '360': 21_600_000 } as const;

export function SessionPage({ id }: { id: string }) {
  const { t } = useWords();
  const { sessions, loading, error, reload } = useSessionsSSE(id);
  const session = sessions[0];
  const name = session?.session_name ?? t('Session');
  useEffect(() => changeTitle({ page: `${name} · ${t('People counting')}` }), [name, t]);
  if (loading) return error ? <Failed error={error} retry={reload} /> : <Loading lines={8} />;
  if (!session) {
    return (
      <Empty icon="sessions">
        <h1>{t('Session not found')}</h1>
        <p>
          {t('It may have been deleted.')}{' '}
          <a href={at('/sessions')} onClick={follow}>
            {t('All sessions')}
          </a>
        </p>
      </Empty>
    );
  }
  return <Detail session={session} />;
}

function Detail({ session }: { session: Session }) {
  const { t, dateTime, zone, number, span, ago } = useWords();
  const now = useNow();
  const { live } = useStats();
  const { movements, loading } = useMovementsSSE(session.id, { limit: 200 });
  const { alerts, ...list } = useAlertsSSE(session.id, undefined, { limit: 50 });
  const { metrics, ...readings } = useMetricsSSE(session.id, { limit: 1 });
  const metric: Metric | undefined = metrics[0];
  const [windowName, setWindowName] = useState<keyof typeof WINDOWS>('5');
  const [zoom, setZoom] = useState<Span | null>(null);
  // One that is stopped while somebody looks at it stays as it is.
  const [unsaid] = useState<'live' | 'session'>(session.status === 'active' ? 'live' : 'session');
  const { range, ...choice } = useRange(unsaid, session);
  const charted = useMemo(
    () => [{ id: session.id, name: session.session_name, color: '--line-0' }],
    [session.id, session.session_name],
  );
  const end = session.end_time ? Date.parse(session.end_time) : now;
  const stats = useSessionStats(session.id);
  const statsAsOf = useAsOf(stats);
  const totalsAsOf = useAsOf();
  const reading = metric &&
    isOfNow(metric.timestamp) && { takenAt: metric.timestamp, inside: metric.current_people_count };
  const door = useInside(readings.loading ? null : session.id, reading || undefined, session.id);
  // A session without a movement is one whose camera sends none: its sums are not known to be 0.
  const totals = stats.totals?.last_movement ? stats.totals : null;
  const counted = (
    label: Key,
    value: number | null | undefined,
    minute: number | null | undefined,
    look: Partial<ComponentProps<typeof Tile>>,
  ) => (
    <Tile
      label={t(label)}
      value={<Figure value={value} fresh={stats.fresh} asOf={statsAsOf} />}
      detail={statsAsOf ?? (minute == null ? undefined : t('{n} in the last minute', { n: number(minute) }))}
      {...look}
    />
  );
  const read = (label: Key, value: number | null | undefined, { digits = 0, unit = '' }) => (
    <Tile
      label={t(label)}
      value={<Figure value={value} digits={digits} fresh={live} asOf={totalsAsOf} />}
      unit={unit}
      detail={live ? undefined : totalsAsOf}
    />
  );
  return (
    <div className="session">
      <header className="page-head">
        <div>
          <h1>
            {session.session_name} <span className={`badge ${session.status}`}>{t(STATUS[session.status])}</span>
          </h1>
          <p className="quiet">
            {[
              shownSource(session),
              `${dateTime(session.start_time)} ${zone(session.start_time)}`,
              span(end - Date.parse(session.start_time)),
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
        </div>
        <div className="actions">
          <Export id={session.id} range={range} />
          <SessionActions session={session} onDeleted={() => go('/sessions')} />
        </div>
      </header>
      {stats.totals !== null && stats.totals.ahead_seconds > 0 && (
        <p className="failed" role="status">
          {t('This camera’s clock is {time} ahead: its rows do not count until then.', {
            time: span(stats.totals.ahead_seconds * 1000),
          })}
        </p>
      )}
      <div className="toolbar range-bar">
        <RangePicker range={range} {...choice} unsaid={unsaid} ofSession />
      </div>
      {range ? (
        <SessionHistory id={session.id} range={range} compare={choice.compare} />
      ) : (
        <>
          <div className="tiles">
            <Tile
              className="hero"
              label={t('Inside now')}
              value={<Figure value={door.inside} fresh={door.fresh} asOf={door.asOf} />}
              detail={door.asOf ?? (metric && reading && `${t('Last reading')} ${ago(metric.timestamp, now)}`)}
            />
            {counted('Entered', totals?.entered, metric?.people_entered_last_minute, { icon: 'in', tone: 'in' })}
            {counted('Exited', totals?.exited, metric?.people_exited_last_minute, { icon: 'out', tone: 'out' })}
            {counted('Peak', totals && Math.max(totals.peak, door.inside ?? 0), null, { icon: 'peak' })}
            {read('Frames per second', metric?.fps_current, { digits: 1 })}
            {read('CPU', metric?.cpu_usage_percentage, { unit: '%' })}
            {read('Processing latency', metric?.processing_latency_ms, { digits: 1, unit: 'ms' })}
          </div>
          <div className="toolbar">
            <Choice
              label={t('Window')}
              value={windowName}
              onChange={(value) => {
                setZoom(null);
                setWindowName(value);
              }}
              options={[
                { value: '5', text: t('{n} min', { n: 5 }) },
                { value: '60', text: t('{n} h', { n: 1 }) },
                { value: '360', text: t('{n} h', { n: 6 }) },
              ]}
            />
            {zoom && (
              <button type="button" onClick={() => setZoom(null)}>
                {t('Show the whole window')}
              </button>
            )}
          </div>
          <SessionCharts
            sessions={charted}
            windowMs={WINDOWS[windowName]}
            pausedAt={null}
            zoom={zoom}
            onZoom={setZoom}
          />
        </>
      )}
      <div className="columns">
        <Panel title={t('Where people passed')} className="wide">
          <Plane session={session} movements={movements} />
        </Panel>
        <Panel title={t('Movements')} className="scroll">
          {loading ? (
            <Loading />
          ) : movements.length === 0 ? (
            <Empty icon="person">{t('Nobody has passed yet.')}</Empty>
          ) : (
            <Movements movements={movements.slice(0, 60)} />
          )}
        </Panel>
        <Panel title={t('Alerts')} className="scroll">
          {alerts.length === 0 ? (
            <Calm known={live && !list.loading} waiting={!list.error}>
              {t('No alerts here.')}
            </Calm>
          ) : (
            <ul className="alert-list">
              {alerts.map((alert) => (
                <AlertRow
                  key={alert.id}
                  alert={alert}
                  session={session.session_name}
                  work={<AlertWork alert={alert} session={session.session_name} brief />}
                />
              ))}
            </ul>
          )}
        </Panel>
        <Panel title={t('Settings')} className="whole">
          <Settings session={session} />
        </Panel>
      </div>
    </div>
  );
}

function Settings({ session }: { session: Session }) {
  const { t, number } = useWords();
  const shown = (value: number | string | null) =>
    value === null ? '–' : typeof value === 'number' ? number(value, 2) : value;
  const picture =
    session.resolution_width && session.resolution_height
      ? `${session.resolution_width} × ${session.resolution_height}`
      : null;
  const rows = [
    [t('Confidence threshold'), session.confidence_threshold],
    [t('Frames skipped'), session.skip_frames],
    [t('Frames until lost'), session.max_disappeared],
    [t('Distance limit'), session.max_distance],
    [t('Picture'), picture],
    [t('Frames per second'), session.fps],
    [t('Frames'), session.total_frames],
    [t('Output'), session.output_path],
  ] as const;
  return (
    <dl className="facts grid">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{shown(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

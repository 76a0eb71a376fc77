/** System: whether the feed itself works, on all hosts, now and in the last hour. */
import { useMemo } from 'react';
import { medianLatency } from '../browser/latency';
import { useHour, useWorkers, type Cost, type SystemPoint, type Worker, type Workers } from '../api/system';
import { feedOf } from '../feed/shared';
import { useAccess } from '../hooks/useAccess';
import { useConnection } from '../hooks/useConnection';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { Chart, type ChartData } from '../components/Chart';
import { Empty, Failed, Loading, Panel } from '../components/Panel';
import { OpenToAll } from '../components/OpenToAll';
import { Tile } from '../components/Tile';
import { LISTENER } from '../i18n/states';
import '../style/parts.css';
import '../style/pages.css';

const TOTALS: readonly {
  key: Key;
  name: 'log_reads' | 'overflows' | 'reconnects' | 'unannounced' | 'errors';
  bad?: boolean;
}[] = [
  { key: 'Log reads', name: 'log_reads' },
  { key: 'Overflows', name: 'overflows' },
  { key: 'Listener reconnects', name: 'reconnects', bad: true },
  { key: 'Unannounced changes', name: 'unannounced', bad: true },
  { key: 'Errors', name: 'errors', bad: true },
];

const CHARTS: readonly { key: Key; of: (point: SystemPoint) => number | null; digits?: number; unit?: string }[] = [
  { key: 'Open streams', of: (point) => point.streams },
  { key: 'Changes per second', of: (point) => point.changes_per_second, digits: 1 },
  { key: 'Deliveries per second', of: (point) => point.deliveries_per_second, digits: 1 },
  {
    key: 'Sequencer lag',
    of: ({ sequencer_lag_seconds: seconds }) => (seconds === null ? null : seconds * 1000),
    unit: ' ms',
  },
];

export function SystemPage() {
  const { t } = useWords();
  const { value, error } = useWorkers();
  const { access } = useAccess();
  const head = <h1 className="unseen">{t('System')}</h1>;
  if (value === null)
    return (
      <div className="system">
        {head}
        {error ? <Failed error={error} /> : <Loading lines={8} />}
      </div>
    );
  return (
    <div className="system">
      {head}
      {access === 'open' && (
        <p className="quiet">
          <OpenToAll />
        </p>
      )}
      {error && <Failed error={error} />}
      <Now workers={value.workers} />
      <LastHour />
      <WorkersPanel workers={value.workers} />
      <TriggerCost cost={value.trigger_cost} />
    </div>
  );
}

function Now({ workers }: { workers: readonly Worker[] }) {
  const { t, number } = useWords();
  useNow();
  const latency = medianLatency();
  const state = useConnection();
  const known = (of: (worker: Worker) => number | null) => workers.map(of).filter((one) => one !== null);
  const sum = (values: readonly number[], digits = 0) =>
    values.length === 0
      ? '–'
      : number(
          values.reduce((total, one) => total + one, 0),
          digits,
        );
  const most = (values: readonly number[]) => (values.length === 0 ? '–' : number(Math.max(...values), 1));
  const p99 = known((worker) => worker.commit_to_publish_ms?.p99 ?? null);
  return (
    <div className="tiles">
      <Tile
        label={t('Open streams')}
        value={sum(known((worker) => worker.streams))}
        detail={t(
          feedOf().leading
            ? 'This tab holds the connection for all tabs of this browser.'
            : 'Another tab of this browser holds the connection.',
        )}
      />
      {/* Each worker publishes all changes. */}
      <Tile label={t('Changes per second')} value={most(known((worker) => worker.changes_per_second))} />
      <Tile
        label={t('Deliveries per second')}
        value={sum(
          known((worker) => worker.deliveries_per_second),
          1,
        )}
      />
      <Tile
        label={t('Commit to publish')}
        value={most(known((worker) => worker.commit_to_publish_ms?.p50 ?? null))}
        unit="ms"
        detail={p99.length > 0 ? t('p99 {time}', { time: t('{n} ms', { n: most(p99) }) }) : t('no changes just now')}
      />
      <Tile
        label={t('Commit to this screen')}
        value={latency ? number(latency.median, 0) : '–'}
        unit="ms"
        detail={latency ? t('median of the last {n} changes', { n: number(latency.count) }) : undefined}
      />
      <Tile
        label={t('Connections lost')}
        value={number(state.losses)}
        detail={t('by this browser')}
        tone={state.losses > 0 ? 'warn' : ''}
      />
    </div>
  );
}

function LastHour() {
  const { t } = useWords();
  const { value, error } = useHour();
  const charts = useMemo(() => {
    const points = value?.points ?? [];
    const times = points.map((point) => Date.parse(point.start) / 1000);
    return CHARTS.map((chart) => ({ ...chart, data: [times, points.map(chart.of)] as ChartData }));
  }, [value]);
  return (
    <section aria-label={t('Last hour')}>
      <h2 className="over-charts">{t('Last hour')}</h2>
      {error && <Failed error={error} />}
      {value === null ? (
        !error && <Loading lines={6} />
      ) : (
        <div className="charts">
          {charts.map(({ key, data, digits = 0, unit = '' }) => (
            <Chart
              key={key}
              label={t(key)}
              lines={[{ label: t(key), color: '--line-0' }]}
              data={data}
              group="system"
              digits={digits}
              unit={unit}
            />
          ))}
        </div>
      )}
    </section>
  );
}

function WorkersPanel({ workers }: { workers: readonly Worker[] }) {
  const { t, number, dateTime } = useWords();
  const shown = (value: number | null, digits: number, unit: Key = '{n}') =>
    value === null ? '–' : t(unit, { n: number(value, digits) });
  return (
    <Panel title={t('Workers')} side={<span className="quiet">{number(workers.length)}</span>}>
      {workers.length === 0 ? (
        <Empty icon="system">{t('No worker has reported yet.')}</Empty>
      ) : (
        <>
          {/* Narrow screens scroll it, by the keyboard, too. */}
          <div className="table-scroll workers" tabIndex={0} role="group" aria-label={t('Workers')}>
            <table>
              <thead>
                <tr>
                  <th>{t('Host')}</th>
                  <th className="figure">{t('Worker')}</th>
                  <th>{t('Listener')}</th>
                  <th className="figure">{t('Streams')}</th>
                  <th className="figure">{t('Changes/s')}</th>
                  <th className="figure">{t('Deliveries/s')}</th>
                  <th className="figure">{t('CPU')}</th>
                  <th className="figure">{t('Memory')}</th>
                  <th>{t('Since')}</th>
                  <th>{t('Version')}</th>
                </tr>
              </thead>
              <tbody>
                {workers.map((one) => (
                  <tr key={`${one.host} ${one.worker} ${one.process}`}>
                    <th scope="row" title={one.host}>
                      {one.host}
                    </th>
                    <td className="figure" title={t('Process {n}', { n: one.process })}>
                      {one.worker}
                    </td>
                    <td>
                      <span className={`badge ${one.listener === 'live' ? 'active' : 'error'}`}>
                        {t(LISTENER[one.listener])}
                      </span>
                    </td>
                    <td className="figure">{number(one.streams)}</td>
                    <td className="figure">{shown(one.changes_per_second, 1)}</td>
                    <td className="figure">{shown(one.deliveries_per_second, 1)}</td>
                    <td className="figure">{shown(one.cpu_percent, 1, '{n} %')}</td>
                    <td className="figure">
                      {shown(one.resident_bytes === null ? null : one.resident_bytes / 1e6, 0, '{n} MB')}
                    </td>
                    <td>{dateTime(one.started_at)}</td>
                    <td>{one.version}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <dl className="facts grid">
            {TOTALS.map(({ key, name, bad }) => {
              const total = workers.reduce((sum, worker) => sum + worker[name], 0);
              return (
                <div key={key} className={bad && total > 0 ? 'bad' : ''}>
                  <dt>{t(key)}</dt>
                  <dd>{number(total)}</dd>
                </div>
              );
            })}
          </dl>
        </>
      )}
      <p className="quiet note">
        {t(
          'Each worker reports every ten seconds; one that is silent for thirty is not listed. Totals are those of all.',
        )}
      </p>
    </Panel>
  );
}

function TriggerCost({ cost }: { cost: Workers['trigger_cost'] }) {
  const { t, number } = useWords();
  const said = ({ calls, mean_us: mean }: Cost) => {
    const times = t('{n} times', { n: number(calls) });
    return mean === null ? times : `${t('{n} µs', { n: number(mean, 1) })}, ${times}`;
  };
  return (
    <Panel title={t('Trigger cost')}>
      {cost ? (
        <>
          <dl className="facts grid cost">
            <div>
              <dt>{t('Recording a change, which its writer waits for')}</dt>
              <dd>{said(cost.record)}</dd>
            </div>
            <div>
              <dt>{t('Numbering what is committed, which no writer waits for')}</dt>
              <dd>{said(cost.numbering)}</dd>
            </div>
          </dl>
          <p className="quiet note">
            {t('On average, as PostgreSQL measures it, with the times that found nothing to number.')}
          </p>
        </>
      ) : (
        <p className="quiet note">
          {t('PostgreSQL measures it once a superuser has run')}{' '}
          <code>alter database … set track_functions = &apos;pl&apos;</code>
        </p>
      )}
    </Panel>
  );
}

/** System: whether the feed itself is well. */
import { medianLatency } from '../data/latency';
import { useWorkers, type Answered } from '../data/system';
import { feedOf } from '../feed/shared';
import { useConnection } from '../hooks/useConnection';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/en';
import { Failed, Loading, Panel } from '../parts/Panel';
import { Sparkline } from '../parts/Sparkline';
import { Tile } from '../parts/Tile';

const COUNTERS: readonly { key: Key; name: 'replays' | 'log_reads' | 'overflows' | 'resets' | 'reconnects' | 'unannounced' | 'errors'; bad?: boolean }[] = [
  { key: 'system.resumed', name: 'replays' }, { key: 'system.logReads', name: 'log_reads' },
  { key: 'system.overflows', name: 'overflows' }, { key: 'system.resets', name: 'resets' },
  { key: 'system.reconnects', name: 'reconnects', bad: true }, { key: 'system.unannounced', name: 'unannounced', bad: true },
  { key: 'system.errors', name: 'errors', bad: true },
];

export function SystemPage() {
  const { t, number } = useWords();
  const { workers, error } = useWorkers();
  useNow();
  const latency = medianLatency();
  const state = useConnection();
  const sum = (of: (worker: Answered) => number | null) => (workers.some((worker) => of(worker) !== null) ? workers.reduce((total, worker) => total + (of(worker) ?? 0), 0) : null);
  const changes = workers.reduce<number | null>((most, worker) => (worker.changesPerSecond === null ? most : Math.max(most ?? 0, worker.changesPerSecond)), null);
  const shown = (value: number | null, digits = 0) => (value === null ? '–' : number(value, digits));
  const lag = workers.find((worker) => worker.commit_to_publish_ms)?.commit_to_publish_ms;
  if (workers.length === 0) return error ? <Failed error={error} /> : <Loading lines={8} />;
  return (
    <div className="system">
      {error && <Failed error={error} />}
      <div className="tiles">
        <Tile label={t('system.streams')} value={shown(sum((worker) => worker.streams))} detail={t(feedOf().leading ? 'system.leading' : 'system.following')} />
        <Tile label={t('system.changes')} value={shown(changes, 1)}><Sparkline values={workers[0]?.history ?? []} tone="in" /></Tile>
        <Tile label={t('system.deliveries')} value={shown(sum((worker) => worker.deliveriesPerSecond), 1)} />
        <Tile label={t('system.lag')} value={lag ? number(lag.p50, 1) : '–'} unit="ms" detail={lag ? t('system.lagDetail', { time: t('unit.ms', { n: number(lag.p99, 1) }) }) : undefined} />
        <Tile label={t('system.browser')} value={latency ? number(latency.median, 0) : '–'} unit="ms" detail={latency ? t('system.browserDetail', { n: number(latency.count) }) : undefined} />
        <Tile label={t('system.losses')} value={number(state.losses)} tone={state.losses > 0 ? 'warn' : ''} />
      </div>
      <Panel title={t('system.workers')} side={<span className="quiet">{number(workers.length)}</span>}>
        <div className="workers">{workers.map((worker) => <WorkerCard key={worker.worker} worker={worker} />)}</div>
        <p className="quiet note">{t('system.explain')}</p>
      </Panel>
      <Panel title={t('system.trigger')}>
        <p className="quiet note">{t('system.triggerText')} <code>./run python benchmarks/write_cost.py</code></p>
      </Panel>
    </div>
  );
}

function WorkerCard({ worker }: { worker: Answered }) {
  const { t, number, span, ago, time } = useWords();
  const now = useNow();
  const { listener, ring } = worker;
  const since = typeof listener.since === 'number' ? listener.since * 1000 : listener.since;
  return (
    <article className="worker">
      <header>
        <strong>{t('system.worker')} {worker.worker}</strong>
        <span className={`badge ${listener.state === 'live' ? 'active' : 'error'}`}>{t('system.listener')}: {t(`listener.${listener.state}`)}</span>
        <span className="quiet">{t('system.listenerSince', { time: time(since, true) })}</span>
      </header>
      <dl className="facts grid">
        <div><dt>{t('system.up')}</dt><dd>{span(now - worker.started_at * 1000)}</dd></div>
        <div><dt>{t('system.seen')}</dt><dd>{ago(worker.at, now)}</dd></div>
        <div><dt>{t('system.streams')}</dt><dd>{number(worker.streams)}</dd></div>
        <div><dt>{t('system.cursor')}</dt><dd>{number(listener.cursor)}</dd></div>
        <div><dt>{t('system.ring')}</dt><dd>{t('system.frames', { n: number(ring.frames) })}, {t('unit.mb', { n: number(ring.bytes / 1e6, 1) })}</dd></div>
        {COUNTERS.map(({ key, name, bad }) => (
          <div key={key} className={bad && (worker[name] ?? 0) > 0 ? 'bad' : ''}><dt>{t(key)}</dt><dd>{number(worker[name] ?? 0)}</dd></div>
        ))}
      </dl>
    </article>
  );
}

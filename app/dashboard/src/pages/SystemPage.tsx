/** System: whether the feed itself works. */
import { medianLatency } from '../browser/latency';
import { useWorkers, type Answered } from '../api/system';
import { feedOf } from '../feed/shared';
import { useAccess } from '../hooks/useAccess';
import { useConnection } from '../hooks/useConnection';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { Failed, Loading, Panel } from '../components/Panel';
import { OpenToAll } from '../components/OpenToAll';
import { Sparkline } from '../components/Sparkline';
import { Tile } from '../components/Tile';
import { LISTENER } from '../i18n/states';
import '../style/parts.css';
import '../style/pages.css';

const COUNTERS: readonly {
  key: Key;
  name: 'replays' | 'log_reads' | 'overflows' | 'resets' | 'reconnects' | 'unannounced' | 'errors';
  bad?: boolean;
}[] = [
  { key: 'Resumed', name: 'replays' },
  { key: 'Log reads', name: 'log_reads' },
  { key: 'Overflows', name: 'overflows' },
  { key: 'Resets', name: 'resets' },
  { key: 'Listener reconnects', name: 'reconnects', bad: true },
  { key: 'Unannounced changes', name: 'unannounced', bad: true },
  { key: 'Errors', name: 'errors', bad: true },
];

export function SystemPage() {
  const { t, number } = useWords();
  const { workers, error } = useWorkers();
  const { access } = useAccess();
  useNow();
  const latency = medianLatency();
  const state = useConnection();
  const sum = (of: (worker: Answered) => number | null) =>
    workers.some((worker) => of(worker) !== null)
      ? workers.reduce((total, worker) => total + (of(worker) ?? 0), 0)
      : null;
  const changes = workers.reduce<number | null>(
    (most, worker) => (worker.changesPerSecond === null ? most : Math.max(most ?? 0, worker.changesPerSecond)),
    null,
  );
  const shown = (value: number | null, digits = 0) => (value === null ? '–' : number(value, digits));
  const lag = workers.find((worker) => worker.commit_to_publish_ms)?.commit_to_publish_ms;
  if (workers.length === 0) return error ? <Failed error={error} /> : <Loading lines={8} />;
  return (
    <div className="system">
      <h1 className="unseen">{t('System')}</h1>
      {access === 'open' && (
        <p className="quiet">
          <OpenToAll />
        </p>
      )}
      {error && <Failed error={error} />}
      <div className="tiles">
        <Tile
          label={t('Open streams')}
          value={shown(sum((worker) => worker.streams))}
          detail={t(
            feedOf().leading
              ? 'This tab holds the connection for all tabs of this browser.'
              : 'Another tab of this browser holds the connection.',
          )}
        />
        <Tile label={t('Changes per second')} value={shown(changes, 1)} />
        <Tile
          label={t('Deliveries per second')}
          value={shown(
            sum((worker) => worker.deliveriesPerSecond),
            1,
          )}
        />
        <Tile
          label={t('Commit to publish')}
          value={lag ? number(lag.p50, 1) : '–'}
          unit="ms"
          detail={lag ? t('p99 {time}', { time: t('{n} ms', { n: number(lag.p99, 1) }) }) : undefined}
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
      <Panel title={t('Workers')} side={<span className="quiet">{number(workers.length)}</span>}>
        <div className="workers">
          {workers.map((worker) => (
            <WorkerCard key={worker.worker} worker={worker} />
          ))}
        </div>
        <p className="quiet note">
          {t(
            'Each worker reports only its own counters. This page asks every two seconds and shows each worker that has answered.',
          )}
        </p>
      </Panel>
      <Panel title={t('Trigger cost')}>
        <p className="quiet note">
          {t('To measure how much longer a commit takes because its changes are recorded, run')}{' '}
          <code>./run python -m benchmarks.write_cost</code>
        </p>
      </Panel>
    </div>
  );
}

/** What the sequencer of a worker does. */
const SEQUENCER = {
  'away': 'unreachable',
  'awake': 'awake',
  'sleeping': 'asleep',
  'watching': 'another one is awake',
  'waiting for transactions': 'waiting for transactions',
} as const satisfies Record<string, Key>;

function WorkerCard({ worker }: { worker: Answered }) {
  const { t, number, span, ago, time } = useWords();
  const now = useNow();
  const { listener, ring } = worker;
  const since = typeof listener.since === 'number' ? listener.since * 1000 : listener.since;
  return (
    <article className="worker">
      <header>
        <strong>
          {t('Worker')} {worker.worker}
        </strong>
        <span className={`badge ${listener.state === 'live' ? 'active' : 'error'}`}>
          {t('Listener')}: {t(LISTENER[listener.state])}
        </span>
        <span className="quiet">{t('since {time}', { time: time(since, true) })}</span>
      </header>
      <Sparkline values={worker.history} />
      <dl className="facts grid">
        <div>
          <dt>{t('Uptime')}</dt>
          <dd>{span(now - worker.started_at * 1000)}</dd>
        </div>
        <div>
          <dt>{t('Last answer')}</dt>
          <dd>{ago(worker.at, now)}</dd>
        </div>
        <div>
          <dt>{t('Open streams')}</dt>
          <dd>{number(worker.streams)}</dd>
        </div>
        <div>
          <dt>{t('Cursor')}</dt>
          <dd>{listener.cursor ?? '–'}</dd>
        </div>
        <div>
          <dt>{t('Sequencer')}</dt>
          <dd>{t(SEQUENCER[worker.sequencer.state])}</dd>
        </div>
        <div>
          <dt>{t('Changes numbered')}</dt>
          <dd>{number(worker.sequencer.numbered)}</dd>
        </div>
        <div>
          <dt>{t('Ring in memory')}</dt>
          <dd>
            {t('{n} frames', { n: number(ring.frames) })}, {t('{n} MB', { n: number(ring.bytes / 1e6, 1) })}
          </dd>
        </div>
        {COUNTERS.map(({ key, name, bad }) => (
          <div key={key} className={bad && (worker[name] ?? 0) > 0 ? 'bad' : ''}>
            <dt>{t(key)}</dt>
            <dd>{number(worker[name] ?? 0)}</dd>
          </div>
        ))}
      </dl>
    </article>
  );
}

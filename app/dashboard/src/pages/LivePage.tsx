/** Live: the readings of the selected sessions as they arrive. The selection is kept in the address. */
import { useMemo, useRef, useState } from 'react';
import { useActiveSessions, useAllSessions } from '../hooks/useList';
import { useReplica } from '../hooks/useReplica';
import { latestPlot, liveliest } from '../plots/latest';
import { useWords } from '../i18n/language';
import { Sign } from '../components/Sign';
import { Choice } from '../components/Choice';
import { Empty, Failed, Loading } from '../components/Panel';
import { SessionPicker } from '../components/SessionPicker';
import { SessionCharts, type Span } from '../components/SessionCharts';
import { Shown } from '../components/Total';
import { setQuery, useAddress } from '../router';
import '../style/parts.css';
import '../style/pages.css';

const MINUTE = 60_000;
const WINDOWS = {
  '5': 5 * MINUTE,
  '15': 15 * MINUTE,
  '60': 60 * MINUTE,
  '360': 360 * MINUTE,
  '1440': 1440 * MINUTE,
} as const;
type WindowName = keyof typeof WINDOWS;
const COLORS = 6;
/** One for each round of the colours; what leaves is dashed in a way of its own. */
const DASHES = [undefined, [10, 3], [2, 3], [10, 3, 2, 3]] as const;
const MOST = COLORS * DASHES.length;

export function LivePage() {
  const { t, time } = useWords();
  const { searchParams } = useAddress();
  const active = useActiveSessions();
  const recent = useAllSessions();
  const [pausedAt, setPausedAt] = useState<number | null>(null);
  const [zoom, setZoom] = useState<Span | null>(null);
  const picked = searchParams.get('sessions');
  const name = searchParams.get('window') ?? '5';
  const windowName: WindowName = name in WINDOWS ? (name as WindowName) : '5';
  const choosable = active.rows.length > 0 ? active.rows : recent.rows.slice(0, 8);
  const latest = useReplica('latest', latestPlot);
  const known = latest.value !== null || latest.error !== null;
  const unsaid = useRef<string>(undefined);
  // Chosen once: a camera that pauses does not change what is shown.
  if (known && !choosable.some((row) => row.id === unsaid.current))
    unsaid.current = liveliest(choosable, latest.value ?? new Map(), Date.now())?.id;
  const asked = picked === null ? [unsaid.current ?? []].flat() : picked.split(',').filter(Boolean);
  const ids = asked.slice(0, MOST);
  const look = useLooks(ids);
  const charted = useMemo(
    () =>
      ids.flatMap((id) => {
        const row = [...active.rows, ...recent.rows].find((one) => one.id === id);
        return row ? [{ id, name: row.session_name, ...look(id) }] : [];
      }),
    [ids.join(), active.rows, recent.rows],
  );
  const ready = active.ready && recent.ready && (known || picked !== null);
  const head = <h1 className="unseen">{t('Live')}</h1>;
  if (active.error || !ready || choosable.length === 0)
    return (
      <div className="live">
        {head}
        {active.error ? (
          <Failed error={active.error} retry={active.reload} />
        ) : !ready ? (
          <Loading lines={8} />
        ) : (
          <Empty icon="live">
            <p>{t('No session has sent readings yet.')}</p>
            <p>{t('Charts appear here as soon as a camera reports.')}</p>
          </Empty>
        )}
      </div>
    );
  return (
    <div className="live">
      {head}
      <div className="toolbar">
        <Choice
          label={t('Window')}
          value={windowName}
          onChange={(value) => {
            setZoom(null);
            setQuery({ window: value });
          }}
          options={(Object.keys(WINDOWS) as WindowName[]).map((value) => ({ value, text: windowText(value) }))}
        />
        <button
          type="button"
          aria-pressed={pausedAt !== null}
          onClick={() => setPausedAt(pausedAt === null ? Date.now() : null)}
        >
          <Sign name={pausedAt === null ? 'pause' : 'play'} />
          {t(pausedAt === null ? 'Pause' : 'Resume')}
        </button>
        {zoom && (
          <button type="button" onClick={() => setZoom(null)}>
            {t('Show the whole window')}
          </button>
        )}
        <span className="quiet grow" role="status">
          {pausedAt !== null
            ? t('Paused at {time}. New readings are still collected.', { time: time(pausedAt, true) })
            : zoom
              ? t('Zoomed in.')
              : t('Drag across a chart to zoom in; double-click to zoom out.')}
        </span>
      </div>
      <SessionPicker
        choosable={choosable}
        charted={charted}
        most={MOST}
        onChange={(next) => setQuery({ sessions: next.join() || ',' })}
      >
        {active.cut && <Shown rows={active.rows.length} cut of={(all) => all.now.active_sessions} />}
      </SessionPicker>
      {charted.length === 0 ? (
        <Empty icon="live">{t('Pick at least one session above.')}</Empty>
      ) : (
        <SessionCharts
          sessions={charted}
          windowMs={WINDOWS[windowName]}
          pausedAt={pausedAt}
          zoom={zoom}
          onZoom={setZoom}
        />
      )}
    </div>
  );

  function windowText(value: WindowName): string {
    const minutes = Number(value);
    return minutes < 60 ? t('{n} min', { n: minutes }) : t('{n} h', { n: minutes / 60 });
  }
}

/** The colour and the dashes of each session: free ones are given out in order, and nobody's change while it is shown. */
function useLooks(ids: readonly string[]) {
  const slots = useRef(new Map<string, number>());
  for (const id of slots.current.keys()) if (!ids.includes(id)) slots.current.delete(id);
  for (const id of ids) {
    if (slots.current.has(id)) continue;
    const taken = new Set(slots.current.values());
    slots.current.set(
      id,
      ids.findIndex((_, slot) => !taken.has(slot)),
    );
  }
  return (id: string) => {
    const slot = slots.current.get(id) ?? 0;
    const dash = DASHES[Math.floor(slot / COLORS)];
    return { color: `--line-${slot % COLORS}`, ...(dash ? { dash } : {}) };
  };
}

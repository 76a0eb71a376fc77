/** Live: the readings of the selected sessions as they arrive. The selection is kept in the address. */
import { useMemo, useState } from 'react';
import { useActiveSessions, useAllSessions } from '../hooks/useList';
import { useWords } from '../i18n/language';
import { Sign } from '../components/Sign';
import { Choice } from '../components/Choice';
import { Empty, Failed, Loading } from '../components/Panel';
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
  const ids = picked === null ? choosable.slice(0, 1).map((row) => row.id) : picked.split(',').filter(Boolean);
  const charted = useMemo(
    () =>
      ids.flatMap((id) => {
        const row = [...active.rows, ...recent.rows].find((one) => one.id === id);
        const index = choosable.findIndex((one) => one.id === id);
        return row ? [{ id, name: row.session_name, color: `--line-${Math.max(0, index) % COLORS}` }] : [];
      }),
    [ids.join(), active.rows, recent.rows],
  );
  if (active.error) return <Failed error={active.error} retry={active.reload} />;
  if (!active.ready || !recent.ready) return <Loading lines={8} />;
  if (choosable.length === 0) return <Empty icon="live">{t('No session has sent readings yet.')}</Empty>;
  return (
    <div className="live">
      <h1 className="unseen">{t('Live')}</h1>
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
      <div className="chips" role="group" aria-label={t('Sessions')}>
        {choosable.map((row, index) => (
          <button
            key={row.id}
            type="button"
            className="chip"
            aria-pressed={ids.includes(row.id)}
            onClick={() => toggle(row.id)}
          >
            <i style={{ background: `var(--line-${index % COLORS})` }} />
            {row.session_name}
          </button>
        ))}
        {active.cut && <Shown rows={active.rows.length} cut of={(all) => all.now.active_sessions} />}
      </div>
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

  function toggle(id: string): void {
    const next = ids.includes(id) ? ids.filter((one) => one !== id) : [...ids, id];
    setQuery({ sessions: next.join() || ',' });
  }

  function windowText(value: WindowName): string {
    const minutes = Number(value);
    return minutes < 60 ? t('{n} min', { n: minutes }) : t('{n} h', { n: minutes / 60 });
  }
}

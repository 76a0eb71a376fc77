/**
 * Six charts of one or more sessions over one window of time.
 *
 * Invariant: all charts share one grid of times, so that the lines of several sessions align. They are redrawn every
 * REDRAW_MS, however often readings arrive.
 */
import { useEffect, useMemo, useRef, useState } from 'react';
import { KEPT, sampled, seriesPlot, type SeriesSet } from '../plots/series';
import { useReplica } from '../hooks/useReplica';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { Chart, type ChartData, type Line } from './Chart';
import { Awaited } from './Awaited';
import { VIEWS, type View } from './views';

export interface Span {
  from: number;
  to: number;
}
export interface Charted {
  id: string;
  name: string;
  color: string;
  /** Lines of the same colour differ in their dashes. */
  dash?: readonly number[];
}
const OUT = [5, 4];

const STEPS = 360;
const REDRAW_MS = 250;

export function SessionCharts({
  sessions,
  windowMs,
  pausedAt,
  zoom,
  onZoom,
}: {
  sessions: readonly Charted[];
  windowMs: number;
  pausedAt: number | null;
  zoom: Span | null;
  onZoom: (span: Span | null) => void;
}) {
  const { t, number } = useWords();
  const sets = useRef(new Map<string, SeriesSet>());
  const [loaded, setLoaded] = useState<ReadonlySet<string>>(new Set());
  const tick = useTick(pausedAt === null && zoom === null);
  const to = (pausedAt ?? tick) / 1000;
  const span = zoom ?? { from: to - windowMs / 1000, to };
  const charts = useMemo(
    () => VIEWS.map((view) => chartOf(view, sessions, sets.current, span, t)),
    [span.from, span.to, sessions, loaded, t],
  );
  const partial = sessions.some(({ id }) => sets.current.get(id)?.partial);
  const ready = sessions.some(({ id }) => loaded.has(id));
  return (
    <>
      {sessions.map(({ id }) => (
        <Source
          key={`${id} ${windowMs}`}
          id={id}
          windowMs={windowMs}
          onSet={(set) => {
            sets.current.set(id, set);
            setLoaded((before) => (before.has(id) ? before : new Set([...before, id])));
          }}
        />
      ))}
      {ready ? (
        <div className="charts" onDoubleClick={() => onZoom(null)}>
          {charts.map(({ view, lines, data }) => (
            <Chart
              key={view.key}
              label={t(view.key)}
              lines={lines}
              data={data}
              group="live"
              digits={view.digits ?? 0}
              unit={view.unit ?? ''}
              onZoom={(from, until) => onZoom({ from, to: until })}
            />
          ))}
        </div>
      ) : (
        <div className="charts" role="status" aria-label={t('Loading')}>
          {VIEWS.map(({ key }) => (
            <Awaited key={key} label={t(key)} />
          ))}
        </div>
      )}
      {partial && (
        <p className="quiet">{t('Only the newest {n} readings of a session are loaded.', { n: number(KEPT) })}</p>
      )}
    </>
  );
}

/** Keeps one session's readings alive while its charts are shown. */
function Source({ id, windowMs, onSet }: { id: string; windowMs: number; onSet: (set: SeriesSet) => void }) {
  const { value } = useReplica(`series ${id} ${windowMs}`, () => seriesPlot(id, windowMs));
  useEffect(() => {
    if (value) onSet(value);
  }, [value]);
  return null;
}

function chartOf(
  view: View,
  sessions: readonly Charted[],
  sets: ReadonlyMap<string, SeriesSet>,
  span: Span,
  t: (key: Key) => string,
) {
  const width = (span.to - span.from) / STEPS;
  const grid = Array.from({ length: STEPS }, (_, step) => span.from + (step + 1) * width);
  const lines: Line[] = [];
  const data: ChartData = [grid];
  for (const session of sessions) {
    const series = sets.get(session.id)?.byId.get(session.id);
    for (const column of view.columns) {
      const flow = view.columns.length > 1;
      const suffix = flow ? t(column === 'in' ? 'In' : 'Out') : '';
      lines.push({
        label: sessions.length > 1 ? `${session.name} ${suffix}`.trim() : suffix || t(view.key),
        color: flow && sessions.length === 1 ? (column === 'in' ? '--in' : '--out') : session.color,
        ...(flow && column === 'out' ? { dash: OUT } : session.dash ? { dash: session.dash } : {}),
      });
      data.push(series ? sampled(series, column, span.from, span.to, STEPS) : grid.map(() => null));
    }
  }
  return { view, lines, data };
}

/** The current time, updated every REDRAW_MS. */
function useTick(running: boolean): number {
  const [at, setAt] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setAt(Date.now()), REDRAW_MS);
    return () => clearInterval(timer);
  }, [running]);
  return at;
}

/**
 * A chart over time (uPlot).
 *
 * Invariant: new data only redraws the chart; it is created again when its lines, language or colours change. Colours
 * come from the page's CSS variables, so nothing here knows about light and dark. Arrow keys move its cursor as the
 * pointer does.
 */
import { useEffect, useRef, type KeyboardEvent } from 'react';
import uPlot from 'uplot';
import { useSettings } from '../browser/settings';
import { useWords } from '../i18n/language';
import { showReadout } from './readout';

export interface Line {
  label: string;
  color: string;
  /** Lengths of dashes and gaps, in pixels; none for a whole line. */
  dash?: readonly number[];
}
/** As many lines, and each of the charts that move together says its values. */
const FEW = 2;
/** Where uPlot's cursor is when it is nowhere. */
const AWAY = -10;

export type ChartData = [number[], ...(number | null)[][]];

export function Chart({
  label,
  lines,
  data,
  group,
  digits = 0,
  unit = '',
  onZoom,
}: {
  label: string;
  lines: readonly Line[];
  data: ChartData;
  group: string;
  digits?: number;
  unit?: string;
  onZoom?: (from: number, to: number) => void;
}) {
  const words = useWords();
  const { theme } = useSettings();
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ data, onZoom });
  latest.current = { data, onZoom };
  const readout = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const text = (line: number, index: number) => {
    const value = latest.current.data[line + 1]?.[index];
    return value == null ? '–' : `${words.number(value, digits)}${unit}`;
  };
  const shape = lines.map((line) => `${line.label} ${line.color} ${line.dash ?? ''}`).join('|');

  useEffect(() => {
    const element = container.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    // A canvas has no rem: scale the axes with the text of the page, which is larger on a wall screen.
    const rem = parseFloat(style.fontSize);
    const axis = {
      stroke: color('--faint'),
      grid: { stroke: color('--grid'), width: 1 },
      ticks: { show: false },
      font: `${0.73 * rem}px ${style.getPropertyValue('--font')}`,
    };
    const chart = new uPlot(
      {
        width: element.clientWidth || 300,
        height: element.clientHeight || 168,
        padding: [8, 4, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: group }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high) * 1.08] } },
        axes: [
          {
            ...axis,
            size: 1.75 * rem,
            space: 4.7 * rem,
            values: (_, ticks) =>
              ticks.map((at) =>
                words.time(at * 1000, ticks.length > 1 && (ticks[1] as number) - (ticks[0] as number) < 60),
              ),
          },
          {
            ...axis,
            size: 2.8 * rem,
            space: 2.3 * rem,
            values: (_, ticks) => ticks.map((value) => words.number(value, digits)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: color(line.color),
            width: 0.12 * rem,
            spanGaps: false,
            points: { show: false },
            ...(line.dash ? { dash: [...line.dash] } : {}),
            ...(lines.length === 1 ? { fill: `color-mix(in srgb, ${color(line.color)} 14%, transparent)` } : {}),
          })),
        ],
        hooks: {
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width > 8) latest.current.onZoom?.(self.posToVal(left, 'x'), self.posToVal(left + width, 'x'));
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          setCursor: [
            (self) => {
              const box = readout.current;
              const { idx, left = -1 } = self.cursor;
              if (!box) return;
              box.hidden = true;
              // Of charts that move together, the one that is looked at says the values of many lines.
              if (idx == null || left < 0 || (lines.length > FEW && !element.matches(':hover, :focus'))) return;
              const seconds = (latest.current.data[0].at(-1) ?? 0) - (latest.current.data[0][0] ?? 0) < 7200;
              const at = (self.data[0][idx] as number) * 1000;
              showReadout(
                box,
                words.time(at, seconds),
                lines.map((line, index) => ({ label: line.label, color: color(line.color), text: text(index, idx) })),
                { at: left, width: self.over.clientWidth, left: self.over.offsetLeft },
              );
            },
          ],
        },
      },
      latest.current.data as uPlot.AlignedData,
      element,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() =>
      chart.setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    resize.observe(element);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [shape, group, words, theme, dark, digits, unit]);

  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data]);

  const newest = lines.map((_, index) => newestOf(data[index + 1]));
  const summary = newest
    .flatMap((value, index) =>
      value == null ? [] : [`${lines[index]?.label ?? ''} ${words.number(value, digits)}${unit}`],
    )
    .join(', ');
  const none = newest.every((value) => value === null);
  const move = (event: KeyboardEvent<HTMLDivElement>) => {
    const chart = plot.current;
    if (!chart) return;
    const last = data[0].length - 1;
    const from = chart.cursor.idx ?? last;
    const far = Math.ceil(last / 10);
    const to = {
      ArrowLeft: from - 1,
      ArrowRight: from + 1,
      PageDown: from - far,
      PageUp: from + far,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined && event.key !== 'Escape') return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, to ?? 0));
    const left = to === undefined ? AWAY : chart.valToPos(data[0][index] ?? 0, 'x');
    place(chart, left);
    const said = lines.map((line, one) => `${line.label} ${text(one, index)}`).join(', ');
    if (to !== undefined)
      event.currentTarget.setAttribute('aria-valuetext', `${words.time((data[0][index] ?? 0) * 1000, true)}: ${said}`);
    event.currentTarget.setAttribute('aria-valuenow', String(to === undefined ? last : index));
  };
  return (
    <figure className="chart">
      <figcaption>{label}</figcaption>
      <div
        ref={container}
        className="chart-body"
        role="slider"
        tabIndex={0}
        aria-label={`${label}: ${none ? words.t('no readings') : summary}`}
        aria-valuemin={0}
        aria-valuemax={data[0].length - 1}
        aria-valuenow={data[0].length - 1}
        onKeyDown={move}
        onBlur={() => plot.current && place(plot.current, AWAY)}
      >
        <div ref={readout} className="readout" aria-hidden="true" hidden />
        {none && <p className="no-readings">{words.t('no readings')}</p>}
      </div>
    </figure>
  );
}

/** Move the cursor of a chart and of those that move with it. uPlot's types do not know the third parameter. */
function place(chart: uPlot, left: number): void {
  const set: (at: { left: number; top: number }, fire: boolean, publish: boolean) => void = chart.setCursor;
  set({ left, top: left < 0 ? AWAY : 1 }, true, true);
}

function newestOf(values: readonly (number | null)[] = []): number | null {
  return values.reduce((newest, value) => value ?? newest, null);
}

function useDark(): boolean {
  const query = matchMedia('(prefers-color-scheme: dark)');
  const dark = useRef(query.matches);
  dark.current = query.matches;
  return dark.current;
}

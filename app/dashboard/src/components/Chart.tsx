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
import { timeTexts, valueSteps } from '../history/ticks';
import { datesOf } from '../i18n/dates';
import { useWords } from '../i18n/language';
import { drawSilences, drawSpread } from './spread';
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

/** Null ends a line; undefined is no point of this line, which goes on. */
export type Values = readonly (number | null | undefined)[];
export type ChartData = [number[], ...Values[]];
/** Least and most at each time, of the first lines; given for what is drawn together of many readings. */
export type Spreads = readonly { low: Values; high: Values }[];

const DAY = 86_400;

export function Chart({
  label,
  lines,
  data,
  group,
  spreads,
  digits = 0,
  unit = '',
  named = false,
  onZoom,
}: {
  label: string;
  lines: readonly Line[];
  data: ChartData;
  group: string;
  spreads?: Spreads;
  digits?: number;
  unit?: string;
  /** Says which line is which. */
  named?: boolean;
  onZoom?: (from: number, to: number) => void;
}) {
  const words = useWords();
  const { theme } = useSettings();
  const container = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ data, spreads, onZoom });
  latest.current = { data, spreads, onZoom };
  const readout = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const text = (line: number, index: number) => {
    const value = latest.current.data[line + 1]?.[index];
    if (value == null) return '–';
    const { spreads: bands } = latest.current;
    const spread = bands?.[line];
    const [low, high] = [spread?.low[index], spread?.high[index]];
    const mean = words.number(value, bands ? Math.max(1, digits) : digits); // of whole numbers, too
    return low == null || high == null || low === high
      ? `${mean}${unit}`
      : `${mean} (${words.number(low, digits)}–${words.number(high, digits)})${unit}`;
  };
  const length = () => (latest.current.data[0].at(-1) ?? 0) - (latest.current.data[0][0] ?? 0);
  const dates = datesOf(words.language);
  const moment = (at: number, exact: boolean) =>
    length() > DAY ? dates.moment(at, exact && length() < 7200) : words.time(at, exact);
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
        padding: [8, 1.3 * rem, 0, 0], // half of the last time's text
        legend: { show: false },
        cursor: { sync: { key: group }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: {
          x: { time: true },
          y: {
            range: (_, low, high) => {
              const highs = latest.current.spreads?.flatMap((spread) => spread.high) ?? [];
              return [
                Math.min(0, low),
                highs.reduce<number>((most, one) => Math.max(most, one ?? 0), Math.max(1, high)) * 1.08,
              ];
            },
          },
        },
        axes: [
          {
            ...axis,
            size: 1.75 * rem,
            space: 4.7 * rem,
            values: (_, ticks, _axis, _space, step) => timeTexts(ticks, step, length(), dates),
          },
          {
            ...axis,
            size: (_, texts) =>
              Math.max(2.8, 0.9 + 0.45 * Math.max(0, ...(texts ?? []).map((one) => one.length))) * rem,
            space: 2.3 * rem,
            incrs: valueSteps(digits),
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
            points: {
              show: false,
              // A camera that reports each second has no reading alone, and would have them looked for with each.
              filter: (self: uPlot, index: number) =>
                latest.current.spreads ? alone(self.data[index] as Values) : null,
            },
            ...(line.dash ? { dash: [...line.dash] } : {}),
            ...(lines.length === 1 && !latest.current.spreads
              ? { fill: `color-mix(in srgb, ${color(line.color)} 14%, transparent)` }
              : {}),
          })),
        ],
        hooks: {
          drawAxes: [
            (self) => {
              const { spreads: bands, data: columns } = latest.current;
              bands?.forEach((band, index) => drawSpread(self, columns[0], band, color(lines[index]?.color ?? '')));
              if (bands) drawSilences(self, columns[0], columns[1] ?? [], words.t('no readings'), color('--faint'));
            },
          ],
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
              const at = (self.data[0][idx] as number) * 1000;
              showReadout(
                box,
                moment(at, length() < 7200),
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
      event.currentTarget.setAttribute('aria-valuetext', `${moment((data[0][index] ?? 0) * 1000, true)}: ${said}`);
    event.currentTarget.setAttribute('aria-valuenow', String(to === undefined ? last : index));
  };
  return (
    <figure className="chart">
      <figcaption>
        {label}
        {named && (
          <span className="chart-legend">
            {lines.map((line) => (
              <span key={line.label}>
                <i style={{ borderColor: `var(${line.color})`, borderStyle: line.dash ? 'dashed' : 'solid' }} />
                {line.label}
              </span>
            ))}
          </span>
        )}
      </figcaption>
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

function newestOf(values: Values = []): number | null {
  return values.reduce<number | null>((newest, value) => value ?? newest, null);
}

/** The values that have no neighbour to draw a line to; null if there is none. */
function alone(values: Values): number[] | null {
  const found: number[] = [];
  let isAfterGap = true;
  let candidate = -1;
  [...values, null].forEach((value, index) => {
    if (value === undefined) return;
    if (value === null && candidate >= 0) found.push(candidate);
    candidate = value !== null && isAfterGap ? index : -1;
    isAfterGap = value === null;
  });
  return found.length > 0 ? found : null;
}

function useDark(): boolean {
  const query = matchMedia('(prefers-color-scheme: dark)');
  const dark = useRef(query.matches);
  dark.current = query.matches;
  return dark.current;
}

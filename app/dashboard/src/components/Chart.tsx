/**
 * A chart over time (uPlot).
 *
 * Invariant: new data only redraws the chart; it is created again when its lines, language or colours change. Colours
 * come from the page's CSS variables, so nothing here knows about light and dark.
 */
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { useSettings } from '../browser/settings';
import { useWords } from '../i18n/language';

export interface Line {
  label: string;
  color: string;
  dashed?: boolean;
}
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
  const dark = useDark();
  const shape = lines.map((line) => `${line.label} ${line.color} ${line.dashed ?? ''}`).join('|');

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
            ...(line.dashed ? { dash: [5, 4] } : {}),
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
              const { idx } = self.cursor;
              const readout = element.parentElement?.querySelector('.readout');
              if (!readout) return;
              readout.textContent =
                idx == null
                  ? ''
                  : lines
                      .map((line, index) => {
                        const value = self.data[index + 1]?.[idx];
                        return value == null
                          ? ''
                          : `${lines.length > 1 ? `${line.label} ` : ''}${words.number(value, digits)}${unit}`;
                      })
                      .filter(Boolean)
                      .join('   ');
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
  return (
    <figure className="chart">
      <figcaption>
        <span>{label}</span>
        <output className="readout" aria-hidden="true" />
      </figcaption>
      <div ref={container} className="chart-body" role="img" aria-label={`${label}: ${summary}`} />
    </figure>
  );
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

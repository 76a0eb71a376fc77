/**
 * Columns: points of the server as columns of numbers for a chart, and those of the week before at the same places.
 *
 * Invariant: no figure is calculated here. A line ends where there are no readings for longer than this camera leaves
 * between its readings.
 */
import type { ChartData, Spreads } from '../components/Chart';
import type { Figure, Point, Series } from './read';
import type { Range } from './range';

/** Points by their time in milliseconds; null where a line ends. */
type Strand = ReadonlyMap<number, Point | null>;

/** A camera that is late once or twice is still there. */
const PATIENCE = 2.5;

/** A line for each figure; with `before`, one more for each, from the range `before` to where this one is. */
export function columnsOf(
  range: Range,
  figures: readonly Figure[],
  series: Series,
  before?: { series: Series; range: Range },
): { data: ChartData; spreads: Spreads } {
  const now = strandOf(series, 0);
  const strands = before ? [now, strandOf(before.series, range.from - before.range.from)] : [now];
  const times = [...new Set([range.from, range.to, ...strands.flatMap((strand) => [...strand.keys()])])];
  times.sort((a, b) => a - b);
  // uPlot ends a line at null, and draws it on over a time at which only another line has a point: undefined.
  const column = (strand: Strand, figure: Figure, part: 'min' | 'mean' | 'max') => {
    let between: null | undefined;
    return times.map((time) => {
      if (!strand.has(time)) return between;
      const value = strand.get(time)?.[figure]?.[part] ?? null;
      between = value === null ? null : undefined;
      return value;
    });
  };
  return {
    data: [
      times.map((time) => time / 1000),
      ...strands.flatMap((strand) => figures.map((figure) => column(strand, figure, 'mean'))),
    ],
    spreads: figures.map((figure) => ({ low: column(now, figure, 'min'), high: column(now, figure, 'max') })),
  };
}

function strandOf({ points, seconds }: Series, shift: number): Strand {
  const width = seconds * 1000;
  const starts = points.map((point) => Date.parse(point.start) + shift);
  const gaps = starts.slice(1).map((start, index) => start - (starts[index] as number));
  const usual = gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? width;
  const strand = new Map<number, Point | null>();
  points.forEach((point, index) => {
    const start = starts[index] as number;
    const last = starts[index - 1];
    if (last !== undefined && start - last > PATIENCE * usual) strand.set(last + width, null);
    strand.set(start, point);
  });
  return strand;
}

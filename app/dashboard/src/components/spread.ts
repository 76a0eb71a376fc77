/** Spread: what a chart draws below its lines: the band between least and most, and where there were no readings. */
import type uPlot from 'uplot';
import type { Values } from './Chart';

/** A band for each stretch without a gap. uPlot has bands of its own, which take two more lines each. */
export function drawSpread(
  plot: uPlot,
  times: readonly number[],
  { low, high }: { low: Values; high: Values },
  color: string,
): void {
  const { ctx } = plot;
  ctx.save();
  ctx.globalAlpha = 0.2;
  ctx.fillStyle = color;
  let stretch: number[] = [];
  const fill = () => {
    if (stretch.length > 1) {
      ctx.beginPath();
      for (const index of stretch) ctx.lineTo(...place(plot, times[index], high[index]));
      for (const index of stretch.reverse()) ctx.lineTo(...place(plot, times[index], low[index]));
      ctx.fill();
    } else
      for (const index of stretch) {
        const [x, top] = place(plot, times[index], high[index]);
        ctx.fillRect(x - 1, top, 2, place(plot, times[index], low[index])[1] - top);
      }
    stretch = [];
  };
  high.forEach((value, index) => {
    if (value != null) stretch.push(index);
    else if (value === null) fill();
  });
  fill();
  ctx.restore();
}

/** Says where there was nothing, if there is room for the words. */
export function drawSilences(
  plot: uPlot,
  times: readonly number[],
  values: Values,
  words: string,
  color: string,
): void {
  const known = times.flatMap((_, index) => (values[index] == null ? [] : [index]));
  if (known.length === 0) return; // the chart as a whole says so
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = color;
  ctx.textAlign = 'center';
  ctx.font = String((plot.axes[0] as unknown as { font?: unknown[] }).font?.[0] ?? ctx.font);
  const room = ctx.measureText(words).width * 1.3;
  const edges = [-1, ...known, times.length];
  edges.slice(1).forEach((next, index) => {
    const last = edges[index] as number;
    const isGap = values.slice(last + 1, next).some((value) => value === null);
    const [left] = place(plot, times[Math.max(0, last)], 0);
    const [right] = place(plot, times[Math.min(times.length - 1, next)], 0);
    const isOutside = last < 0 || next === times.length;
    if ((isGap || isOutside) && right - left > room)
      ctx.fillText(words, (left + right) / 2, bbox.top + bbox.height / 2);
  });
  ctx.restore();
}

function place(plot: uPlot, time = 0, value: number | null = 0): [number, number] {
  return [plot.valToPos(time, 'x', true), plot.valToPos(value ?? 0, 'y', true)];
}

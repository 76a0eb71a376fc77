/** Flow as mirrored bars: in above the line, out below it, one for each time. Direction never depends on colour alone. */
import type { Minute } from '../plots/flow';
import { useWords } from '../i18n/language';

const WIDTH = 600;
const MIDDLE = 84;

/**
 * Bars of one width in milliseconds; `label` says what they add up to, `when` the time of one, and `tick` that of an
 * axis, where it is shorter.
 */
export function FlowBars({
  bars,
  width,
  label,
  when,
  tick = when,
}: {
  bars: readonly Minute[];
  width: number;
  label: string;
  when: (at: number) => string;
  tick?: (at: number) => string;
}) {
  const { t, number } = useWords();
  const top = niceTop(Math.max(4, ...bars.flatMap((bar) => [bar.in, bar.out])));
  const step = WIDTH / bars.length;
  const scale = (value: number) => (value / top) * (MIDDLE - 8);
  return (
    <figure className="flow">
      <div className="flow-scale" aria-hidden="true">
        <span>{number(top)}</span>
        <span>0</span>
        <span>{number(top)}</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${MIDDLE * 2}`} preserveAspectRatio="none" role="img" aria-label={label}>
        {[0.5, 1].map((part) => (
          <g key={part} className="grid">
            <line x1="0" x2={WIDTH} y1={MIDDLE - scale(top * part)} y2={MIDDLE - scale(top * part)} />
            <line x1="0" x2={WIDTH} y1={MIDDLE + scale(top * part)} y2={MIDDLE + scale(top * part)} />
          </g>
        ))}
        {bars.map((bar, index) => (
          <g key={bar.start} className={bar.start + width > Date.now() ? 'bar current' : 'bar'}>
            <title>{`${when(bar.start)}: ${bar.in} ${t('entered')}, ${bar.out} ${t('exited')}`}</title>
            <rect className="hit" x={index * step} y="0" width={step} height={MIDDLE * 2} />
            <rect
              className="in"
              x={index * step + step * 0.14}
              width={step * 0.72}
              y={MIDDLE - scale(bar.in)}
              height={scale(bar.in)}
            />
            <rect
              className="out"
              x={index * step + step * 0.14}
              width={step * 0.72}
              y={MIDDLE}
              height={scale(bar.out)}
            />
          </g>
        ))}
        <line className="axis" x1="0" x2={WIDTH} y1={MIDDLE} y2={MIDDLE} />
      </svg>
      <div className="flow-times" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75].map((part) => (
          <span key={part}>{tick(bars[Math.floor(part * bars.length)]?.start ?? 0)}</span>
        ))}
        <span>{tick((bars.at(-1)?.start ?? 0) + width)}</span>
      </div>
    </figure>
  );
}

function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

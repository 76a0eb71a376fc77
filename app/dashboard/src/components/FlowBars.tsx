/** Flow as mirrored bars: in above the line, out below it, one per minute. Direction never depends on colour alone. */
import { MINUTE, type Minute } from '../plots/flow';
import { useWords } from '../i18n/language';

const WIDTH = 600;
const MIDDLE = 84;

export function FlowBars({ minutes }: { minutes: readonly Minute[] }) {
  const { t, time, number } = useWords();
  const top = niceTop(Math.max(4, ...minutes.flatMap((minute) => [minute.in, minute.out])));
  const step = WIDTH / minutes.length;
  const scale = (value: number) => (value / top) * (MIDDLE - 8);
  const entered = minutes.reduce((sum, minute) => sum + minute.in, 0);
  const exited = minutes.reduce((sum, minute) => sum + minute.out, 0);
  return (
    <figure className="flow">
      <div className="flow-scale" aria-hidden="true">
        <span>{number(top)}</span>
        <span>0</span>
        <span>{number(top)}</span>
      </div>
      <svg
        viewBox={`0 0 ${WIDTH} ${MIDDLE * 2}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t('In the last hour {in} entered and {out} exited.', { in: number(entered), out: number(exited) })}
      >
        {[0.5, 1].map((part) => (
          <g key={part} className="grid">
            <line x1="0" x2={WIDTH} y1={MIDDLE - scale(top * part)} y2={MIDDLE - scale(top * part)} />
            <line x1="0" x2={WIDTH} y1={MIDDLE + scale(top * part)} y2={MIDDLE + scale(top * part)} />
          </g>
        ))}
        {minutes.map((minute, index) => (
          <g key={minute.start} className={index === minutes.length - 1 ? 'bar current' : 'bar'}>
            <title>{`${time(minute.start)}: ${minute.in} ${t('entered')}, ${minute.out} ${t('exited')}`}</title>
            <rect className="hit" x={index * step} y="0" width={step} height={MIDDLE * 2} />
            <rect
              className="in"
              x={index * step + step * 0.14}
              width={step * 0.72}
              y={MIDDLE - scale(minute.in)}
              height={scale(minute.in)}
            />
            <rect
              className="out"
              x={index * step + step * 0.14}
              width={step * 0.72}
              y={MIDDLE}
              height={scale(minute.out)}
            />
          </g>
        ))}
        <line className="axis" x1="0" x2={WIDTH} y1={MIDDLE} y2={MIDDLE} />
      </svg>
      <div className="flow-times" aria-hidden="true">
        {[0, 15, 30, 45].map((index) => (
          <span key={index}>{time(minutes[index]?.start ?? 0)}</span>
        ))}
        <span>{time((minutes.at(-1)?.start ?? 0) + MINUTE)}</span>
      </div>
    </figure>
  );
}

function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

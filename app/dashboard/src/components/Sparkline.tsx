/** A small line without axes: the trend of the newest readings. */
export function Sparkline({ values, tone = '' }: { values: readonly number[]; tone?: string }) {
  if (values.length < 2) return <svg className={`sparkline ${tone}`} viewBox="0 0 100 28" aria-hidden="true" />;
  const top = Math.max(1, ...values) * 1.1;
  const step = 100 / (values.length - 1);
  const points = values
    .map((value, index) => `${(index * step).toFixed(2)},${(27 - (value / top) * 25).toFixed(2)}`)
    .join(' ');
  return (
    <svg className={`sparkline ${tone}`} viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">
      <polygon points={`0,28 ${points} 100,28`} />
      <polyline points={points} />
    </svg>
  );
}

/** The room of a chart whose readings are on their way. */
export function Awaited({ label }: { label: string }) {
  return (
    <figure className="chart">
      <figcaption>{label}</figcaption>
      <div className="chart-body" />
    </figure>
  );
}

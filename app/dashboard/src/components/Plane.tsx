/** The camera's plane: where the newest movements were seen, to the scale of its picture. */
import type { Movement, Session } from '../feed/rows';
import { useWords } from '../i18n/language';
import { DIRECTION } from '../i18n/names';

export function Plane({ session, movements }: { session: Session; movements: readonly Movement[] }) {
  const { t, time } = useWords();
  const placed = movements.filter((row) => row.centroid_x !== null && row.centroid_y !== null).slice(0, 200);
  const width = session.resolution_width ?? Math.max(640, ...placed.map((row) => row.centroid_x ?? 0));
  const height = session.resolution_height ?? Math.max(360, ...placed.map((row) => row.centroid_y ?? 0));
  const radius = width / 110;
  return (
    <svg
      className="plane"
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={t('The newest {n} movements on the camera’s picture.', { n: placed.length })}
    >
      {[0.25, 0.5, 0.75].map((part) => (
        <g key={part} className="grid">
          <line x1={width * part} x2={width * part} y1="0" y2={height} />
          <line x1="0" x2={width} y1={height * part} y2={height * part} />
        </g>
      ))}
      {[...placed].reverse().map((row, index) => (
        <g key={row.id} className={row.movement_direction} opacity={0.25 + (0.75 * (index + 1)) / placed.length}>
          <title>{`${t('Person {n}', { n: row.person_id })}, ${t(DIRECTION[row.movement_direction])}, ${time(row.movement_time, true)}`}</title>
          {index === placed.length - 1 && row.bounding_box_x1 !== null && row.bounding_box_y1 !== null && (
            <rect
              x={row.bounding_box_x1}
              y={row.bounding_box_y1}
              width={Math.max(0, (row.bounding_box_x2 ?? 0) - row.bounding_box_x1)}
              height={Math.max(0, (row.bounding_box_y2 ?? 0) - row.bounding_box_y1)}
            />
          )}
          <circle cx={row.centroid_x ?? 0} cy={row.centroid_y ?? 0} r={radius} />
        </g>
      ))}
    </svg>
  );
}

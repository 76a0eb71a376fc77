/** The newest movements, as a list that grows at its top. */
import type { Movement } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { Icon } from './Icon';
import { DIRECTION } from '../i18n/names';

export function Movements({
  movements,
  nameOf,
}: {
  movements: readonly Movement[];
  nameOf?: (sessionId: string) => string;
}) {
  const words = useWords();
  const now = useNow();
  return (
    <ol className="movements">
      {movements.map((movement) => (
        <li key={movement.id} className={movement.movement_direction}>
          <Icon name={movement.movement_direction} />
          <span className="what">{words.t(DIRECTION[movement.movement_direction])}</span>
          <span className="who">
            {nameOf ? nameOf(movement.session_id) : words.t('Person {n}', { n: movement.person_id })}
          </span>
          <time title={words.dateTime(movement.movement_time)}>
            {now - Date.parse(movement.movement_time) > 3_600_000
              ? words.dateTime(movement.movement_time)
              : words.time(movement.movement_time, true)}
          </time>
        </li>
      ))}
    </ol>
  );
}

/** The server's totals: faded while they are not known to be those of now, and a dash until they were read. */
import type { Totals } from '../api/stats';
import { useAsOf, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { Calm } from './Panel';

export function Total({ of, className = '' }: { of: (totals: Totals) => number; className?: string }) {
  const { number } = useWords();
  const { totals, fresh } = useStats();
  return (
    <span className={fresh ? className : `${className} stale`} title={useAsOf()}>
      {totals ? number(of(totals)) : '–'}
    </span>
  );
}

/** How many rows there are, and if a list shows fewer of them, how many it shows. */
export function Shown({ rows, cut, of }: { rows: number; cut: boolean; of: (totals: Totals) => number }) {
  const { t, number } = useWords();
  const { totals, fresh } = useStats();
  if (!cut) return <Total of={of} className="quiet" />;
  return (
    <span className="quiet">
      {fresh && totals
        ? t('the newest {n} of {total}', { n: number(rows), total: number(of(totals)) })
        : t('at least {n}', { n: number(rows) })}
    </span>
  );
}

/** Where no open alert is listed. */
export function AllClear({ error }: { error: Error | null }) {
  const { t } = useWords();
  const { totals, fresh } = useStats();
  return (
    <Calm known={fresh && totals?.now.open_alerts === 0} waiting={!error && (fresh || !totals)}>
      {t('No open alerts. All clear.')}
    </Calm>
  );
}

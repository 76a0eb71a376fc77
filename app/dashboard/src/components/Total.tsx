/** A total of the server's: faded while it is not known to be that of now, and a dash until it was read. */
import type { Totals } from '../api/stats';
import { useAsOf, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';

export function Total({ of, className = '' }: { of: (totals: Totals) => number; className?: string }) {
  const { number } = useWords();
  const { totals, fresh } = useStats();
  return (
    <span className={fresh ? className : `${className} stale`} title={useAsOf()}>
      {totals ? number(of(totals)) : '–'}
    </span>
  );
}

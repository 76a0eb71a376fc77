/** Figures: faded while they are not known to be those of now, and a dash until they were read. */
import type { Totals } from '../api/stats';
import type { Reading } from '../plots/latest';
import { useAsOf, useInside, useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { Calm } from './Panel';

export function Total({ of, className }: { of: (totals: Totals) => number; className?: string }) {
  const { totals, fresh } = useStats();
  return <Figure value={totals && of(totals)} fresh={fresh} asOf={useAsOf()} className={className} />;
}

/** How many are inside a session. */
export function Inside({ id, reading }: { id: string; reading: Reading | undefined }) {
  const { inside, fresh, asOf } = useInside(id, reading);
  return <Figure value={inside} fresh={fresh} asOf={asOf} />;
}

export function Figure({
  value,
  digits = 0,
  fresh,
  asOf,
  className = '',
}: {
  value: number | null | undefined;
  digits?: number;
  fresh: boolean;
  asOf?: string | undefined;
  className?: string | undefined;
}) {
  const { number } = useWords();
  return (
    <span className={fresh ? className : `${className} stale`} title={asOf}>
      {value == null ? '–' : number(value, digits)}
    </span>
  );
}

/** How many rows there are, and if a list shows fewer of them, how many it shows. */
export function Shown({
  rows,
  cut,
  newest = true,
  of,
}: {
  rows: number;
  cut: boolean;
  /** Whether those that are shown are the newest. */
  newest?: boolean;
  of: (totals: Totals) => number;
}) {
  const { t, number } = useWords();
  const { totals, fresh } = useStats();
  if (!cut) return <Total of={of} className="quiet" />;
  return (
    <span className="quiet">
      {fresh && totals
        ? t(newest ? 'the newest {n} of {total}' : '{n} of {total}', { n: number(rows), total: number(of(totals)) })
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

/** React's side of the server's totals: one store for all components of the page. */
import { useSyncExternalStore } from 'react';
import { Stats, type StatsState } from '../api/stats';
import { feedOf } from '../feed/shared';
import { useWords } from '../i18n/language';

let stats: Stats | undefined;

/** The totals, and whether they can be trusted. */
export function useStats(): StatsState {
  stats ??= new Stats(feedOf(), Intl.DateTimeFormat().resolvedOptions().timeZone);
  return useSyncExternalStore(stats.subscribe, stats.get);
}

/** "as of 10:42" while what is shown is not known to be that of now. */
export function useAsOf(): string | undefined {
  const { t, time, dateTime } = useWords();
  const { totals, at, fresh } = useStats();
  if (fresh || !totals) return undefined;
  const today = new Date().toDateString() === new Date(at).toDateString();
  return t('as of {time}', { time: today ? time(at) : dateTime(at) });
}

/** React's side of what the server counts: one store for all components of the page, and one for each session. */
import { useSyncExternalStore } from 'react';
import { Stats, type SessionTotals, type StatsState } from '../api/stats';
import type { Metric } from '../feed/rows';
import { feedOf } from '../feed/shared';
import { useWords } from '../i18n/language';
import { useNow } from './useNow';

const stores = new Map<string | null, Stats<unknown>>();
const NOTHING: StatsState<never> = { totals: null, at: 0, live: false, fresh: false };
const nothing = { subscribe: () => () => {}, get: () => NOTHING };
/** A door whose newest reading is older is counted from its movements; the server's SESSION_SILENCE_SECONDS. */
const SILENCE_MS = 3_600_000;

function storeOf<T>(sessionId: string | null): Stats<T> {
  let store = stores.get(sessionId);
  if (!store) {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    stores.set(sessionId, (store = new Stats(feedOf(), timeZone, sessionId)));
  }
  return store as Stats<T>;
}

/** The totals, and whether they can be trusted. */
export function useStats(): StatsState {
  const { subscribe, get } = storeOf<StatsState['totals'] & object>(null);
  return useSyncExternalStore(subscribe, get);
}

/** A session's statistics; nothing is asked without an id. */
export function useSessionStats(id: string | null): StatsState<SessionTotals> {
  const { subscribe, get } = id === null ? nothing : storeOf<SessionTotals>(id);
  return useSyncExternalStore(subscribe, get);
}

/** How many are inside a session: its newest reading says so, or its movements where it sends none. Null while loading. */
export function useInside(id: string | null, metric: Metric | undefined) {
  const now = useNow();
  const reads = metric !== undefined && now - Date.parse(metric.timestamp) <= SILENCE_MS;
  const { live } = useStats();
  const totalsAsOf = useAsOf();
  const counted = useSessionStats(reads ? null : id);
  const countedAsOf = useAsOf(counted);
  return reads
    ? { inside: metric.current_people_count, fresh: live, asOf: live ? undefined : totalsAsOf, movedAt: null }
    : {
        inside: counted.totals?.inside,
        fresh: counted.fresh,
        asOf: countedAsOf,
        movedAt: counted.totals?.last_movement ?? null,
      };
}

/** "as of 10:42" while what is shown is not known to be that of now. */
export function useAsOf(stats?: StatsState<unknown>): string | undefined {
  const { t, time, dateTime } = useWords();
  const all = useStats();
  const { totals, at, fresh } = stats ?? all;
  if (fresh || !totals) return undefined;
  const today = new Date().toDateString() === new Date(at).toDateString();
  return t('as of {time}', { time: today ? time(at) : dateTime(at) });
}

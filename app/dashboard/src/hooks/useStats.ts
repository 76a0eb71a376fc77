/** React's side of what the server counts: one store for all components of the page, and one for each session. */
import { useSyncExternalStore } from 'react';
import { Stats, type SessionTotals, type StatsState, type Totals } from '../api/stats';
import type { Topic } from '../feed/protocol';
import { feedOf } from '../feed/shared';
import { useWords } from '../i18n/language';
import type { Door } from '../plots/latest';
import { useNow } from './useNow';

const stores = new Map<string, Stats<unknown>>();
const NOTHING: StatsState<never> = { totals: null, at: 0, live: false, fresh: false };
const nothing = { subscribe: () => () => {}, get: () => NOTHING };
/** A door whose newest reading is older is counted from its movements; the server's SESSION_SILENCE_SECONDS. */
const SILENCE_MS = 3_600_000;

function storeOf<T>(path: string, sessionId?: string | null, topics?: readonly Topic[]): Stats<T> {
  let store = stores.get(path);
  if (!store) {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    stores.set(path, (store = new Stats(feedOf(), timeZone, path, sessionId, topics)));
  }
  return store as Stats<T>;
}

/** The totals, and whether they can be trusted. */
export function useStats(): StatsState {
  const { subscribe, get } = storeOf<Totals>('stats');
  return useSyncExternalStore(subscribe, get);
}

/** A session's statistics. */
export function useSessionStats(id: string): StatsState<SessionTotals> {
  const { subscribe, get } = storeOf<SessionTotals>(`sessions/${id}/statistics`, id, ['movements']);
  return useSyncExternalStore(subscribe, get);
}

/** The doors that are counted from movements, of one request for all of them; or one door, whatever counts it. */
function useDoors(wanted: boolean, alone: string | null): StatsState<Door[]> {
  const { subscribe, get } = !wanted
    ? nothing
    : alone === null
      ? storeOf<Door[]>('sessions/figures?counted=true', null, ['movements', 'sessions'])
      : storeOf<Door[]>(`sessions/figures?session_id=${alone}`, alone, ['movements', 'sessions']);
  return useSyncExternalStore<StatsState<Door[]>>(subscribe, get);
}

/** How many are inside a session: its newest reading says so, or its movements where it sends none. No id: loading. */
export function useInside(
  id: string | null,
  reading: { takenAt: string; inside: number } | undefined,
  alone: string | null = null,
) {
  const now = useNow();
  const reads = reading !== undefined && now - Date.parse(reading.takenAt) <= SILENCE_MS;
  const { live } = useStats();
  const totalsAsOf = useAsOf();
  const counted = useDoors(id !== null && !reads, alone);
  const countedAsOf = useAsOf(counted);
  const door = counted.totals?.find((one) => one.session_id === id);
  return reads
    ? { inside: reading.inside, fresh: live, asOf: live ? undefined : totalsAsOf, movedAt: null }
    : { inside: door?.inside, fresh: counted.fresh, asOf: countedAsOf, movedAt: door?.last_movement ?? null };
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

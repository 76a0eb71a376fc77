/** Lists with any filter: shorthand for a replica of `listOf`. */
import { listOf, type ListOptions } from '../feed/list';
import type { Topic } from '../feed/protocol';
import { shownSource, type RowOf } from '../feed/rows';
import { useWords } from '../i18n/language';
import { useRefill } from './useRefill';
import { useReplica } from './useReplica';

/** The newest rows of a topic; `key` must differ between filters. */
export function useList<T extends Topic>(topic: T, key: string, options: ListOptions<T> & { limit: number }) {
  const { value, loading, error, reload } = useReplica(`${topic} ${key}`, () => listOf(topic, options));
  useRefill(value, options.limit, reload);
  const rows: readonly RowOf[T][] = value?.rows ?? [];
  return { rows, cut: value !== null && value.floor !== null, ready: value !== null, loading, error, reload };
}

/** The active sessions. */
export function useActiveSessions() {
  return useList('sessions', 'active', {
    query: { status: 'active' },
    matches: (row) => row.status === 'active',
    limit: 200,
  });
}

/** The newest sessions, with what lists of choices show of them; a session that has changed meanwhile is here as a whole. */
export function useAllSessions() {
  return useList('sessions', 'all', { query: { fields: 'id,session_name,input_source,created_at' }, limit: 500 });
}

/** Where the pictures of sessions come from, by id, without what is secret in it; null if that is not known. */
export function useSessionSources(): (id: string | null) => string | null {
  const { rows } = useAllSessions();
  return (id) => {
    const session = rows.find((row) => row.id === id);
    return session ? shownSource(session) : null;
  };
}

/** Names of sessions, by id. Older ones than the newest 500 have none here, which does not mean that they were deleted. */
export function useSessionNames(): (id: string | null) => string {
  const { t } = useWords();
  const { rows, cut, ready } = useAllSessions();
  return (id) =>
    id === null
      ? t('All sessions together')
      : (rows.find((row) => row.id === id)?.session_name ?? (ready && !cut ? t('Deleted session') : '–'));
}

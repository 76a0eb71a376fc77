/** The rows of each topic: a snapshot that follows the changes. Shared between components, bounded, newest first. */
import { useMemo } from 'react';
import { listOf } from '../feed/list';
import type { Topic } from '../feed/protocol';
import type { Alert, Metric, Movement, RowOf, Session } from '../feed/rows';
import { feedOf } from '../feed/shared';
import { useConnection } from './useConnection';
import { useRefill } from './useRefill';
import { useReplica } from './useReplica';

export interface Rows<R> {
  rows: readonly R[];
  /** True if there are older rows than these. */
  cut: boolean;
  /** True until the first snapshot is loaded. */
  loading: boolean;
  isConnected: boolean;
  /** Why the snapshot could not be read, or why the connection is lost. */
  error: Error | null;
  reconnect: () => void;
  reload: () => void;
}

export interface RowsOptions {
  sessionId?: string | null | undefined;
  /** Alerts only. */
  resolved?: boolean | undefined;
  /** At most this many rows; 500 by default. */
  limit?: number;
  /** Where the API is; "" is this page's own server. */
  base?: string;
}

/** The newest rows of a topic. */
export function useRows<T extends Topic>(topic: T, options: RowsOptions = {}): Rows<RowOf[T]> {
  const { sessionId = null, resolved, limit = 500, base = '' } = options;
  const key = `${topic} ${sessionId ?? ''} ${resolved ?? ''} ${limit}`;
  const { value, loading, error, reload } = useReplica(
    key,
    () =>
      listOf(topic, {
        sessionId,
        limit,
        ...(resolved === undefined
          ? {}
          : {
              query: { resolved: String(resolved) },
              matches: (row: RowOf[T]) => 'is_resolved' in row && row.is_resolved === resolved,
            }),
      }),
    base,
  );
  useRefill(value, limit, reload);
  const state = useConnection(base);
  return useMemo(
    () => ({
      rows: value?.rows ?? [],
      cut: value !== null && value.floor !== null,
      loading: loading && value === null,
      isConnected: state.status === 'live',
      error: error ?? (state.error === null ? null : new Error(state.error)),
      reconnect: () => feedOf(base).retry(),
      reload,
    }),
    [value, loading, error, state, base, reload],
  );
}

/** All sessions, or one. */
export function useSessionsSSE(sessionId?: string | null, options: RowsOptions = {}) {
  const { rows, ...rest } = useRows('sessions', { ...options, sessionId });
  return { sessions: rows as readonly Session[], ...rest };
}

/** The newest movements, of all sessions or of one. */
export function useMovementsSSE(sessionId?: string | null, options: RowsOptions = {}) {
  const { rows, ...rest } = useRows('movements', { ...options, sessionId });
  return { movements: rows as readonly Movement[], ...rest };
}

/** The newest alerts; with `resolved`, only the open or only the resolved ones. */
export function useAlertsSSE(sessionId?: string | null, resolved?: boolean, options: RowsOptions = {}) {
  const { rows, ...rest } = useRows('alerts', { ...options, sessionId, resolved });
  return { alerts: rows as readonly Alert[], ...rest };
}

/** The newest readings, of all sessions or of one. */
export function useMetricsSSE(sessionId?: string | null, options: RowsOptions = {}) {
  const { rows, ...rest } = useRows('metrics', { ...options, sessionId });
  return { metrics: rows as readonly Metric[], ...rest };
}

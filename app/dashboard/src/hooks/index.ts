/** What other React apps may import; docs/reference/hooks.md explains each. Needs nothing but React. */
export { useSSE, type SSEOptions, type SSEResult } from './useSSE';
export {
  useAlertsSSE,
  useMetricsSSE,
  useMovementsSSE,
  useRows,
  useSessionsSSE,
  type Rows,
  type RowsOptions,
} from './useRows';
export { useAccess, type AccessResult } from './useAccess';
export { useConnection } from './useConnection';
export { useReplica } from './useReplica';
export { setAccess, type AccessOptions } from '../feed/credentials';
export type { Me, Role, Scope } from '../feed/access';
export type { Reason } from '../feed/refusal';
export type { Cursor } from '../feed/cursor';
export type { Change, ChangeOf, Message, Topic } from '../feed/protocol';
export type { Plot, ReplicaState, Snapshot } from '../feed/replica';
export type { Alert, Metric, Movement, Session, Threshold } from '../feed/rows';
export type { StreamState } from '../feed/stream';

/** Texts for the states of sessions and workers, and for what one can do with them. */
import type { Key } from './language';

export const STATUS = {
  active: 'Active',
  completed: 'Completed',
  error: 'Error',
  cancelled: 'Cancelled',
} as const satisfies Record<string, Key>;
export const LISTENER = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
} as const satisfies Record<string, Key>;
export const ACTION = { stop: 'Stop', rename: 'Rename', delete: 'Delete' } as const satisfies Record<string, Key>;

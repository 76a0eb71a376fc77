/** Texts for the kinds and directions that rows have, for the connection and for the pages. */
import type { AlertType } from '../feed/rows';
import type { Key } from './language';

export const PAGE = {
  dashboard: 'Dashboard',
  live: 'Live',
  sessions: 'Sessions',
  session: 'Session',
  alerts: 'Alerts',
  system: 'System',
  login: 'Sign in',
  setup: 'Set up',
  account: 'Account',
  admin: 'Access',
  kiosk: 'Dashboard',
} as const satisfies Record<string, Key>;
export const ROLE = { viewer: 'Viewer', operator: 'Operator', admin: 'Admin' } as const satisfies Record<string, Key>;
export const THEME = {
  system: 'Colours: same as system',
  light: 'Colours: light',
  dark: 'Colours: dark',
} as const satisfies Record<string, Key>;
export const DIRECTION = { in: 'In', out: 'Out' } as const satisfies Record<string, Key>;
export const CONNECTION = {
  'connecting': 'Connecting',
  'closed': 'Not connected',
  'signed-out': 'Signed out',
} as const satisfies Record<string, Key>;
/** What thresholds watch and alerts tell, and its values with their unit: every `alert_type` of the server. */
export const KIND = {
  people_count: ['people', '{n} people'],
  entered_per_minute: ['people in', '{n} a minute'],
  exited_per_minute: ['people out', '{n} a minute'],
  processing_latency_ms: ['latency', '{n} ms'],
  fps: ['frame rate', '{n} frames/s'],
  cpu_usage_percentage: ['CPU', '{n} %'],
  memory_usage_mb: ['memory', '{n} MB'],
  no_signal_seconds: ['no signal', '{n} s'],
  unmeasured: ['nothing', '{n}'],
} as const satisfies Record<AlertType, readonly [Key, Key]>;

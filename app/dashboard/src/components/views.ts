/** Views: the charts that a session has, of what happens now and of any time. */
import type { Figure } from '../history/read';
import type { Key } from '../i18n/language';
import type { Column } from '../plots/series';

export interface View {
  key: Key;
  columns: readonly Column[];
  /** The same, as a series names them. */
  figures: readonly Figure[];
  digits?: number;
  unit?: string;
}

export const VIEWS: readonly View[] = [
  { key: 'People inside', columns: ['inside'], figures: ['current_people_count'] },
  {
    key: 'In and out per minute',
    columns: ['in', 'out'],
    figures: ['people_entered_last_minute', 'people_exited_last_minute'],
  },
  { key: 'Frames per second', columns: ['fps'], figures: ['fps_current'], digits: 1 },
  { key: 'CPU', columns: ['cpu'], figures: ['cpu_usage_percentage'], unit: ' %' },
  { key: 'Memory', columns: ['memory'], figures: ['memory_usage_mb'], unit: ' MB' },
  { key: 'Processing latency', columns: ['latency'], figures: ['processing_latency_ms'], digits: 1, unit: ' ms' },
];

/** The rows of the watched tables, as both REST and the stream show them: column names, numbers, ISO times. */

export type SessionStatus = 'active' | 'completed' | 'error' | 'cancelled';
export type DetectionStatus = 'detecting' | 'tracking' | 'waiting';
export type Direction = 'in' | 'out';
/** What a threshold watches. */
export type AlertType =
  | 'people_count'
  | 'entered_per_minute'
  | 'exited_per_minute'
  | 'processing_latency_ms'
  | 'fps'
  | 'cpu_usage_percentage'
  | 'memory_usage_mb'
  | 'no_signal_seconds'
  | 'unmeasured';

/** One counting run of one camera. */
export interface Session {
  id: string;
  session_name: string;
  input_source: string | null;
  output_path: string | null;
  start_time: string;
  end_time: string | null;
  duration_seconds: number | null;
  status: SessionStatus;
  fps: number | null;
  total_frames: number | null;
  resolution_width: number | null;
  resolution_height: number | null;
  confidence_threshold: number | null;
  skip_frames: number | null;
  max_disappeared: number | null;
  max_distance: number | null;
  created_at: string;
  updated_at: string;
}

/** One person seen going in or out. */
export interface Movement {
  id: string;
  session_id: string;
  person_id: number;
  movement_direction: Direction;
  movement_time: string;
  centroid_x: number | null;
  centroid_y: number | null;
  bounding_box_x1: number | null;
  bounding_box_y1: number | null;
  bounding_box_x2: number | null;
  bounding_box_y2: number | null;
  confidence_score: number | null;
  frame_number: number | null;
  created_at: string;
}

/** One reading of a session. */
export interface Metric {
  id: string;
  session_id: string;
  timestamp: string;
  current_people_count: number;
  people_entered_last_minute: number | null;
  people_exited_last_minute: number | null;
  detection_status: DetectionStatus;
  fps_current: number | null;
  cpu_usage_percentage: number | null;
  memory_usage_mb: number | null;
  processing_latency_ms: number | null;
}

/** One alert: raised once, resolved once. */
export interface Alert {
  id: string;
  session_id: string | null;
  threshold_id: string | null;
  alert_type: string;
  alert_message: string | null;
  current_value: number | null;
  threshold_value: number | null;
  triggered_at: string;
  resolved_at: string | null;
  is_resolved: boolean;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
  note: string | null;
  muted_until: string | null;
}

/** When to raise an alert; without a session it applies to each one, or to all together. Not streamed. */
export interface Threshold {
  id: string;
  session_id: string | null;
  threshold_name: string;
  threshold_value: number;
  alert_type: AlertType;
  direction: 'above' | 'below';
  lasting_seconds: number;
  is_total: boolean;
  /** Nobody gave a type: the server read it off the name. */
  type_from_name: boolean;
  alert_message: string | null;
  is_active: boolean;
  created_at: string;
  updated_at: string;
}

/** The row of each topic. */
export interface RowOf {
  sessions: Session;
  movements: Movement;
  alerts: Alert;
  metrics: Metric;
}

// As in app/postgres/addresses.py: @ and / are found in passwords, too, and many cameras take pwd=… after their host.
const USER_INFO = /^([^@:]*:\/\/)(?:.*:.*|[^/?#]*)@|^[^:]*:(?!\/\/).*@/s;
const PARAMETER = /((?:user|usr|login|account|auth|pass|pwd|psw|pw|token|secret|key)[a-z0-9_-]*=)[^& ]+/gi;

/** Where a session's pictures come from, without the user and password that a camera's address may hold. */
export function shownSource({ input_source: source }: { input_source: string | null }): string | null {
  return source && source.replace(USER_INFO, '$1***@').replace(PARAMETER, '$1***');
}

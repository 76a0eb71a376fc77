/**
 * Range: which time a page shows, as its address says it: `?range=7d`, or `?from=…&to=…`.
 *
 * Invariant: what cannot be read chooses nothing, so a mistyped address shows what the page shows by itself. Days begin
 * at midnight of the browser's zone.
 */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const PRESETS = ['1h', 'today', 'yesterday', '7d', '30d', '1y'] as const;
export type Preset = (typeof PRESETS)[number];
/** `session` is a session's own time, `own` what the user entered. */
export type Chosen = 'live' | 'session' | 'own' | Preset;

/** From a moment up to another, in milliseconds since 1970. */
export interface Range {
  from: number;
  to: number;
}

export type Bucket = 'minute' | 'hour' | 'day' | 'week';
const LASTS: Record<Bucket, number> = { minute: MINUTE, hour: HOUR, day: DAY, week: 7 * DAY };

/** What an address chooses; `unsaid` where it says nothing. Only a page of a session can show `session`. */
export function chosenOf(query: URLSearchParams, unsaid: 'live' | 'session', ofSession = unsaid === 'session'): Chosen {
  if (ownOf(query, Infinity)) return 'own';
  const name = query.get('range');
  return [...PRESETS, 'live', ...(ofSession ? ['session'] : [])].includes(name ?? '') ? (name as Chosen) : unsaid;
}

/** The range that is chosen; null if that is what happens now. What ends now moves on with `now`, a step at a time. */
export function rangeOf(
  chosen: Chosen,
  query: URLSearchParams,
  now: number,
  session: Range = { from: now - HOUR, to: now },
): Range | null {
  // A long range that moved each minute would be asked for each minute, and look the same.
  const step = chosen === '7d' ? 10 * MINUTE : chosen === '30d' || chosen === '1y' ? HOUR : MINUTE;
  const to = Math.ceil(now / step) * step;
  switch (chosen) {
    case 'live':
      return null;
    case 'session':
      return { from: session.from, to: Math.max(session.to, session.from + MINUTE) };
    case 'own':
      return ownOf(query, to);
    case 'today':
      return { from: midnight(now, 0), to };
    case 'yesterday':
      return { from: midnight(now, -1), to: midnight(now, 0) };
    case '1y':
      return { from: new Date(to).setFullYear(new Date(to).getFullYear() - 1), to };
    case '1h':
      return { from: to - HOUR, to };
    case '7d':
    case '30d':
      return { from: to - Number.parseInt(chosen, 10) * DAY, to };
  }
}

/** The same days and hours of the clock, a week earlier. */
export function weekBefore({ from, to }: Range): Range {
  const before = (at: number) => new Date(at).setDate(new Date(at).getDate() - 7);
  return { from: before(from), to: before(to) };
}

/** Whether the week before is another time, which has nothing of this one in it. */
export function hasWeekBefore({ from, to }: Range): boolean {
  return to - from <= 7 * DAY + HOUR; // with the hour that a week has more when clocks change
}

/** How wide the bars of a range are: some hundred of them at most. */
export function bucketOf({ from, to }: Range): Bucket {
  const length = to - from;
  return length <= 3 * HOUR ? 'minute' : length <= 14 * DAY ? 'hour' : length <= 550 * DAY ? 'day' : 'week';
}

export function bucketMs(bucket: Bucket): number {
  return LASTS[bucket];
}

/** How many points a page of this width needs for its charts: fewer than it has pixels, and few numbers for all widths. */
export function pointsFor(width: number): number {
  return Math.min(500, Math.max(150, Math.round(width / 150) * 50));
}

/** A moment as `<input type="datetime-local">` writes it, by the browser's clock. */
export function localText(at: number): string {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

function ownOf(query: URLSearchParams, now: number): Range | null {
  const moment = (name: string) => Date.parse(query.get(name) ?? '');
  const from = moment('from');
  const to = query.has('to') ? moment('to') : now;
  return from < to ? { from, to } : null;
}

function midnight(now: number, days: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days).getTime();
}

/** The range that the address of a page chooses, and whether it compares. */
import { useMemo } from 'react';
import type { Session } from '../feed/rows';
import { useNow } from '../hooks/useNow';
import { setQuery, useAddress } from '../router';
import { chosenOf, hasWeekBefore, rangeOf, type Chosen, type Range } from './range';

export interface RangeState {
  chosen: Chosen;
  /** Null: what happens now. */
  range: Range | null;
  /** Beside the week before. */
  compare: boolean;
}

/** Of a page that shows `unsaid` where its address says nothing. */
export function useRange(unsaid: 'live' | 'session', session?: Session): RangeState {
  const { search } = useAddress();
  const now = useNow();
  const from = session ? Date.parse(session.start_time) : 0;
  const end = session?.end_time ? Date.parse(session.end_time) : null;
  const query = new URLSearchParams(search);
  const chosen = chosenOf(query, unsaid, session !== undefined);
  const found = rangeOf(chosen, query, now, session && { from, to: end ?? Math.ceil(now / 60_000) * 60_000 });
  // The same object while it is the same range: charts are made of it.
  const range = useMemo(() => found, [found?.from, found?.to]);
  const compare = range !== null && query.get('compare') === 'week' && hasWeekBefore(range);
  return { chosen, range, compare };
}

/** Look closer, in seconds; "back" looks at the whole again. */
export function zoomTo(from: number, to: number): void {
  const moment = (seconds: number) => new Date(Math.round(seconds) * 1000).toISOString();
  if (to - from >= 1) setQuery({ range: '', from: moment(from), to: moment(to) }, true);
}

/** In and out of a range, as the server counted them: bars, and their sums as tiles. */
import { useMemo } from 'react';
import { FlowBars } from '../components/FlowBars';
import { Empty, Failed, Panel } from '../components/Panel';
import { Tile } from '../components/Tile';
import { datesOf, type Dates } from '../i18n/dates';
import { useWords } from '../i18n/language';
import { bucketMs, bucketOf, weekBefore, type Range } from './range';
import { flowPath, type FlowBucket } from './read';
import { useHistory, type HistoryState } from './useHistory';

export interface FlowAbout {
  range: Range;
  before: Range | null;
}
export type FlowState = HistoryState<FlowBucket[], FlowAbout>;

/** The flow of a range, of a session or of all; of the week before as well, if that is to be compared. */
export function useFlow(range: Range, compare: boolean, sessionId: string | null): FlowState {
  const before = compare ? weekBefore(range) : null;
  const paths = [range, ...(before ? [before] : [])].map((one) => flowPath(one, sessionId));
  return useHistory(paths, { range, before });
}

const sum = (buckets: readonly FlowBucket[], direction: 'entered' | 'exited') =>
  buckets.reduce((all, bucket) => all + bucket[direction], 0);

/** Entered and exited; the bars below add up to the same. */
export function FlowTiles({ flow }: { flow: FlowState }) {
  const { t, number } = useWords();
  const [now, before] = flow.found?.answers ?? [];
  const tile = (direction: 'entered' | 'exited') => (
    <Tile
      label={t(direction === 'entered' ? 'Entered' : 'Exited')}
      icon={direction === 'entered' ? 'in' : 'out'}
      tone={direction === 'entered' ? 'in' : 'out'}
      value={now ? number(sum(now, direction)) : '–'}
      detail={before && t('a week before: {n}', { n: number(sum(before, direction)) })}
    />
  );
  return (
    <>
      {tile('entered')}
      {tile('exited')}
    </>
  );
}

export function FlowPanel({ flow }: { flow: FlowState }) {
  const words = useWords();
  const { t, number } = words;
  const [buckets] = flow.found?.answers ?? [];
  const said = { in: number(sum(buckets ?? [], 'entered')), out: number(sum(buckets ?? [], 'exited')) };
  // The page renders each second, for its clocks; these are hundreds of bars.
  const bars = useMemo(() => {
    if (!flow.found || !buckets?.some(({ entered, exited }) => entered + exited > 0)) return null;
    const { range } = flow.found.about;
    return (
      <FlowBars
        bars={buckets.map((bucket) => ({ start: Date.parse(bucket.start), in: bucket.entered, out: bucket.exited }))}
        width={bucketMs(bucketOf(range))}
        label={t('In this time {in} entered and {out} exited.', said)}
        {...timesOf(range, datesOf(words.language))}
      />
    );
  }, [flow.found, words]);
  return (
    <Panel
      title={t('In and out')}
      className={flow.waiting && flow.found ? 'flow-history waiting' : 'flow-history'}
      side={
        <span className="legend">
          <i className="in" />
          {t('{n} in', { n: buckets ? said.in : '–' })}
          <i className="out" />
          {t('{n} out', { n: buckets ? said.out : '–' })}
        </span>
      }
    >
      {flow.error && <Failed error={flow.error} retry={flow.retry} />}
      {bars ?? (
        <div className="flow nobody">{buckets && <Empty icon="person">{t('Nobody passed in this time.')}</Empty>}</div>
      )}
    </Panel>
  );
}

/** How bars of a range and their axis say when; an axis has five times, and says none twice. */
function timesOf(range: Range, dates: Dates) {
  const bucket = bucketOf(range);
  const days = (range.to - range.from) / 86_400_000;
  const time = (at: number) => dates.time(at, false);
  return {
    when: bucket === 'day' || bucket === 'week' ? dates.date : days > 1 ? (at: number) => dates.moment(at) : time,
    tick:
      days <= 1
        ? time
        : days <= 4
          ? (at: number) => `${dates.day(at)} ${time(at)}`
          : days <= 300
            ? dates.day
            : dates.month,
  };
}

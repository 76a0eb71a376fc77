/** History: the first page of a range of time, of all sessions together. */
import { useMemo } from 'react';
import { Chart, type ChartData } from '../components/Chart';
import { Failed } from '../components/Panel';
import { Tile } from '../components/Tile';
import { FlowPanel, FlowTiles, useFlow } from '../history/FlowHistory';
import { RangePicker } from '../history/RangePicker';
import { RangeSaid } from '../history/RangeSaid';
import { Week } from '../history/Week';
import type { Range } from '../history/range';
import type { FlowBucket } from '../history/read';
import { useRange, zoomTo, type RangeState } from '../history/useRange';
import { useWords } from '../i18n/language';
import '../style/parts.css';
import '../style/pages.css';

export function HistoryPage() {
  const { t } = useWords();
  const state = useRange('live');
  return (
    <div className="history">
      <h1 className="unseen">{t('Dashboard')}</h1>
      <div className="toolbar range-bar">
        <RangePicker {...state} unsaid="live" />
      </div>
      {state.range && <OfAll {...state} range={state.range} />}
    </div>
  );
}

function OfAll({ range, compare }: RangeState & { range: Range }) {
  const { t, number } = useWords();
  const flow = useFlow(range, compare, null);
  const [now, before] = flow.found?.answers ?? [];
  const about = flow.found?.about;
  // The page renders each second, for its clocks.
  const data = useMemo(
    () => now && about && peaksOf(now, before, about.before ? about.range.from - about.before.from : 0),
    [flow.found],
  );
  const inside = { label: t('Most people inside'), color: '--line-0' };
  const earlier = { label: t('{what}, a week before', { what: inside.label }), color: '--line-1', dash: [5, 4] };
  const peak = (buckets: readonly FlowBucket[]) => Math.max(0, ...buckets.map((bucket) => bucket.peak));
  return (
    <>
      <div className="tiles">
        <Tile
          className="hero"
          label={t('Peak')}
          icon="peak"
          value={now ? number(peak(now)) : '–'}
          detail={before && t('a week before: {n}', { n: number(peak(before)) })}
        />
        <FlowTiles flow={flow} />
      </div>
      <RangeSaid range={about?.range ?? range} />
      {flow.error && <Failed error={flow.error} retry={flow.retry} />}
      <div className={flow.waiting && now ? 'charts waiting' : 'charts'}>
        {data ? (
          <Chart
            label={inside.label}
            lines={before ? [inside, earlier] : [inside]}
            data={data}
            group="history"
            named={before !== undefined}
            onZoom={zoomTo}
          />
        ) : (
          <figure className="chart">
            <figcaption>{inside.label}</figcaption>
            <div className="chart-body" />
          </figure>
        )}
        <FlowPanel flow={{ ...flow, error: null }} />
      </div>
      <Week range={range} />
    </>
  );
}

/** The most inside of each bar, and of those before at the same places. */
function peaksOf(now: readonly FlowBucket[], before: readonly FlowBucket[] | undefined, shift: number): ChartData {
  const columns = [now, before ?? []].map(
    (buckets, index) => new Map(buckets.map(({ start, peak }) => [Date.parse(start) + index * shift, peak])),
  );
  const times = [...new Set(columns.flatMap((column) => [...column.keys()]))].sort((a, b) => a - b);
  return [
    times.map((time) => time / 1000),
    ...columns.slice(0, before ? 2 : 1).map((column) => times.map((time) => column.get(time))),
  ];
}

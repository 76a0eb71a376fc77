/**
 * A session over a range: its readings as lines with the band between least and most, and who passed.
 *
 * Invariant: what is drawn is one answer with its own range; while the next is on its way it stays, dimmed.
 */
import { useMemo } from 'react';
import { Chart } from '../components/Chart';
import { Awaited } from '../components/Awaited';
import { Failed } from '../components/Panel';
import { VIEWS } from '../components/views';
import { Tile } from '../components/Tile';
import { datesOf } from '../i18n/dates';
import { useWords } from '../i18n/language';
import { columnsOf } from './columns';
import { FlowPanel, FlowTiles, useFlow, type FlowState } from './FlowHistory';
import { pointsFor, weekBefore, type Range } from './range';
import { RangeSaid } from './RangeSaid';
import { seriesPath, type Series } from './read';
import { useHistory } from './useHistory';
import { zoomTo } from './useRange';
import '../style/history.css';

const COMPARED = [5, 4];

export function SessionHistory({ id, range, compare }: { id: string; range: Range; compare: boolean }) {
  const { t } = useWords();
  const points = pointsFor(document.documentElement.clientWidth);
  const before = compare ? weekBefore(range) : null;
  const paths = [range, ...(before ? [before] : [])].map((one) => seriesPath(id, one, points));
  const { found, error, waiting, retry } = useHistory<Series, { range: Range; before: Range | null }>(paths, {
    range,
    before,
  });
  const flow = useFlow(range, compare, id);
  const [series, earlier] = found?.answers ?? [];
  const shown = found?.about ?? { range, before: null };
  const compared = earlier !== undefined;
  // The page renders each second, for its clocks.
  const columns = useMemo(() => {
    if (!found || !series) return [];
    const beside = earlier && found.about.before ? { series: earlier, range: found.about.before } : undefined;
    return VIEWS.map(({ figures }) => columnsOf(found.about.range, figures, series, beside));
  }, [found]);
  return (
    <>
      <div className="tiles">
        <PeakTile series={series} earlier={earlier} flow={flow} />
        <FlowTiles flow={flow} />
      </div>
      <RangeSaid range={shown.range} series={series} />
      {error && <Failed error={error} retry={retry} />}
      <div className={waiting && found ? 'charts waiting' : 'charts'} aria-busy={waiting}>
        {VIEWS.map(({ key, figures, digits = 0, unit = '' }, view) => {
          const drawn = columns[view];
          if (!drawn) return <Awaited key={key} label={t(key)} />;
          const isFlow = figures.length > 1;
          const lines = figures.map((_, index) => ({
            label: isFlow ? t(index === 0 ? 'In' : 'Out') : t(key),
            color: isFlow ? (index === 0 ? '--in' : '--out') : '--line-0',
          }));
          const earlierLines = lines.map((line) => ({
            label: t('{what}, a week before', { what: line.label }),
            color: isFlow ? line.color : '--line-1',
            dash: COMPARED,
          }));
          return (
            <Chart
              key={key}
              label={t(key)}
              lines={compared ? [...lines, ...earlierLines] : lines}
              {...drawn}
              group="history"
              digits={digits}
              unit={unit}
              named={compared || isFlow}
              onZoom={zoomTo}
            />
          );
        })}
      </div>
      <FlowPanel flow={flow} />
    </>
  );
}

/** The most that were inside at once: as the readings say, or where there are none, as the movements add up to. */
function PeakTile({
  series,
  earlier,
  flow,
}: {
  series: Series | undefined;
  earlier: Series | undefined;
  flow: FlowState;
}) {
  const { t, number, language } = useWords();
  const highest = highestOf(series);
  const counted = series && !highest ? flow.found?.answers[0] : undefined;
  const peak = highest?.count ?? (counted && Math.max(0, ...counted.map((bucket) => bucket.peak)));
  const before = highestOf(earlier);
  const when = highest && datesOf(language).moment(Date.parse(highest.start));
  return (
    <Tile
      className="hero"
      label={t('Peak')}
      icon="peak"
      value={peak === undefined ? '–' : number(peak)}
      detail={before ? t('a week before: {n}', { n: number(before.count) }) : when}
    />
  );
}

function highestOf(series: Series | undefined): { start: string; count: number } | undefined {
  let highest: { start: string; count: number } | undefined;
  for (const { start, current_people_count: people } of series?.points ?? [])
    if (people && people.max > (highest?.count ?? -1)) highest = { start, count: people.max };
  return highest;
}

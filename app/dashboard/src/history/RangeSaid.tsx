/** What charts of a range show: from when to when, in which zone, and how fine. */
import { datesOf } from '../i18n/dates';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { bucketMs, bucketOf, type Range } from './range';
import type { Series } from './read';

const RESOLUTION = {
  readings: 'of single readings',
  minutes: 'of whole minutes',
  hours: 'of whole hours',
} as const satisfies Record<Series['resolution'], Key>;

export function RangeSaid({ range, series }: { range: Range; series?: Series | undefined }) {
  const { t, span, zone, language } = useWords();
  const { moment } = datesOf(language);
  const parts = [
    `${moment(range.from)} – ${moment(range.to)} ${zone(range.to)}`,
    series && `${t('each point {time}', { time: span(series.seconds * 1000) })}, ${t(RESOLUTION[series.resolution])}`,
    t('each bar {time}', { time: span(bucketMs(bucketOf(range))) }),
  ];
  return (
    <p className="quiet range-said" role="status">
      {parts.filter(Boolean).join(' · ')}
    </p>
  );
}

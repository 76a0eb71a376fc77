/** Dates as the user reads them; only pages that show more than a day load this. */
import { localeOf, type Language } from './language';

export interface Dates {
  time(at: number, seconds: boolean): string;
  day(at: number): string;
  month(at: number): string;
  year(at: number): string;
  date(at: number): string;
  /** A moment of any year. */
  moment(at: number, seconds?: boolean): string;
  /** Monday is 1. */
  weekday(number: number): string;
}

const made = new Map<Language, Dates>();

export function datesOf(language: Language): Dates {
  let dates = made.get(language);
  if (!dates) made.set(language, (dates = makeDates(localeOf(language))));
  return dates;
}

function makeDates(locale: string): Dates {
  const format = (options: Intl.DateTimeFormatOptions) => {
    const formatter = new Intl.DateTimeFormat(locale, options);
    return (at: number) => formatter.format(at);
  };
  const clock = { hour: '2-digit', minute: '2-digit' } as const;
  const date = { day: 'numeric', month: 'short', year: 'numeric' } as const;
  const [time, seconds] = [format(clock), format({ ...clock, second: '2-digit' })];
  const [moment, momentSeconds] = [format({ ...date, ...clock }), format({ ...date, ...clock, second: '2-digit' })];
  const weekday = format({ weekday: 'short', timeZone: 'UTC' });
  return {
    time: (at, exact) => (exact ? seconds : time)(at),
    day: format({ day: 'numeric', month: 'short' }),
    month: format({ month: 'short', year: 'numeric' }),
    year: format({ year: 'numeric' }),
    date: format(date),
    moment: (at, exact = false) => (exact ? momentSeconds : moment)(at),
    weekday: (number) => weekday(Date.UTC(2024, 0, number)), // 2024 began on a Monday
  };
}

/**
 * Language: words, numbers and times as the user reads them. Follows the browser until the user chooses. Vietnamese is
 * loaded where it is read, in two parts; a text that is not here is shown in English.
 */
import { useSyncExternalStore } from 'react';
import { recall, remember } from '../browser/storage';
import { Listeners } from '../feed/listeners';
import type { vi } from './vi';
import type { pages } from './vi.pages';

/** The texts, in English. */
export type Key = keyof typeof vi | keyof typeof pages;

export type Language = 'en' | 'vi';
export type Values = Readonly<Record<string, string | number>>;

const STORED = 'language';
const listeners = new Listeners();
const vietnamese: Partial<Record<Key, string>> = {};
const PARTS = {
  shell: () => import('./vi').then((file): object => file.vi),
  pages: () => import('./vi.pages').then((file): object => file.pages),
};
type Part = keyof typeof PARTS;
const here = new Set<Part>();
let words = wordsFor(initialLanguage());

/** Everything that depends on the language; a new object when it changes. */
export interface Words {
  language: Language;
  t(key: Key, values?: Values): string;
  number(value: number, digits?: number): string;
  time(at: string | number, seconds?: boolean): string;
  dateTime(at: string | number): string;
  /** The browser's time zone at that moment, in short: every time here is told in it. */
  zone(at: string | number): string;
  /** A duration, in its largest one or two units. */
  span(milliseconds: number): string;
  ago(at: string | number, now: number): string;
}

/** The words of the user's language. */
export function useWords(): Words {
  return useSyncExternalStore(listeners.add, currentWords);
}

/** The words, for code outside components. */
export function currentWords(): Words {
  return words;
}

/** Load the words of these parts in the user's language; null if they are here. Rejects where they cannot be loaded. */
export function loadWords(parts: readonly Part[], language = words.language): Promise<unknown> | null {
  const missing = language === 'en' ? [] : parts.filter((part) => !here.has(part));
  if (missing.length === 0) return null;
  return Promise.all(
    missing.map(async (part) => {
      Object.assign(vietnamese, await PARTS[part]());
      here.add(part);
    }),
  );
}

export async function setLanguage(language: Language): Promise<void> {
  await loadWords(['shell', 'pages'], language);
  remember(STORED, language);
  words = wordsFor(language);
  document.documentElement.lang = language;
  listeners.call();
}

function initialLanguage(): Language {
  const stored = recall(STORED);
  const language = stored === 'en' || stored === 'vi' ? stored : navigator.language.startsWith('vi') ? 'vi' : 'en';
  document.documentElement.lang = language;
  return language;
}

/** Numbers and times follow the browser's own locale if it is of the chosen language. */
export function localeOf(language: Language): string {
  return navigator.languages.find((one) => one.startsWith(language)) ?? language;
}

function wordsFor(language: Language): Words {
  const locale = localeOf(language);
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
  const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
  const clockSeconds = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const dateClock = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
  const zoned = new Intl.DateTimeFormat(locale, { timeZoneName: 'short' });
  const t = (key: Key, values: Values = {}) =>
    ((language === 'vi' && vietnamese[key]) || key).replace(/\{(\w+)\}/g, (_, name: string) =>
      String(values[name] ?? ''),
    );
  const number = (value: number, digits = 0) => (digits > 0 ? one : whole).format(value);
  const span = (milliseconds: number) => {
    const seconds = Math.max(0, milliseconds) / 1000;
    if (seconds < 1) return t('{n} ms', { n: number(milliseconds) });
    if (seconds < 100) return t('{n} s', { n: number(seconds, seconds < 10 ? 1 : 0) });
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return t('{n} min', { n: number(minutes) });
    const rest = minutes % 60;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return t('{n} h', { n: number(hours) }) + (rest ? ` ${t('{n} min', { n: number(rest) })}` : '');
    const left = hours % 24;
    return (
      t('{n} d', { n: number(Math.floor(hours / 24)) }) +
      (left && hours < 240 ? ` ${t('{n} h', { n: number(left) })}` : '')
    );
  };
  return {
    language,
    t,
    number,
    span,
    time: (at, seconds = false) => (seconds ? clockSeconds : clock).format(new Date(at)),
    dateTime: (at) => dateClock.format(new Date(at)),
    zone: (at) => zoned.formatToParts(new Date(at)).find(({ type }) => type === 'timeZoneName')?.value ?? '',
    ago: (at, now) => {
      const passed = now - new Date(at).getTime();
      return passed < 2000
        ? t('just now')
        : t('{time} ago', { time: span(passed < 100_000 ? Math.round(passed / 1000) * 1000 : passed) });
    },
  };
}

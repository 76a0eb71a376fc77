/** Settings kept in this browser: colours, and whether alerts make a sound. */
import { useSyncExternalStore } from 'react';

export type Theme = 'system' | 'light' | 'dark';
export interface Settings {
  theme: Theme;
  notify: boolean;
}

const STORED = 'settings';
const listeners = new Set<() => void>();
let settings: Settings = read();
paint(settings.theme);

export function useSettings(): Settings {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => settings,
  );
}

export function currentSettings(): Settings {
  return settings;
}

export function changeSettings(change: Partial<Settings>): void {
  settings = { ...settings, ...change };
  localStorage.setItem(STORED, JSON.stringify(settings));
  paint(settings.theme);
  for (const listener of [...listeners]) listener();
}

function read(): Settings {
  try {
    return {
      theme: 'system',
      notify: false,
      ...(JSON.parse(localStorage.getItem(STORED) ?? '{}') as Partial<Settings>),
    };
  } catch {
    return { theme: 'system', notify: false };
  }
}

function paint(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

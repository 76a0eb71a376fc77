/** Settings kept in this browser: colours, and whether alerts make a sound. */
import { useSyncExternalStore } from 'react';
import { Listeners } from '../feed/listeners';
import { recall, remember } from './storage';

export type Theme = 'system' | 'light' | 'dark';
export interface Settings {
  theme: Theme;
  notify: boolean;
}

const STORED = 'settings';
const listeners = new Listeners();
let settings: Settings = read();
paint(settings.theme);

export function useSettings(): Settings {
  return useSyncExternalStore(listeners.add, currentSettings);
}

export function currentSettings(): Settings {
  return settings;
}

export function changeSettings(change: Partial<Settings>): void {
  settings = { ...settings, ...change };
  remember(STORED, JSON.stringify(settings));
  paint(settings.theme);
  listeners.call();
}

function read(): Settings {
  try {
    return {
      theme: 'system',
      notify: false,
      ...(JSON.parse(recall(STORED) ?? '{}') as Partial<Settings>),
    };
  } catch {
    return { theme: 'system', notify: false };
  }
}

function paint(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

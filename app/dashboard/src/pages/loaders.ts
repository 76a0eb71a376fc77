/**
 * Loaders: which page an address names, and its code.
 *
 * Invariant: a page's code is asked for when the page is first wanted, and again after it could not be loaded: a
 * deployment may have replaced the files that this tab knows, or the server may have been away.
 */
import type { ComponentType } from 'react';
import { report } from '../feed/listeners';
import { pathOf } from '../feed/mount';
import { loadWords } from '../i18n/language';
import { DashboardPage } from './DashboardPage';
import type { PageName } from './pageName';

type Page = ComponentType<{ id: string }>;

const LOADERS: Record<Exclude<PageName, 'dashboard'>, () => Promise<Page>> = {
  live: () => import('./LivePage').then((file): Page => file.LivePage),
  sessions: () => import('./SessionsPage').then((file): Page => file.SessionsPage),
  session: () => import('./SessionPage').then((file): Page => file.SessionPage),
  alerts: () => import('./AlertsPage').then((file): Page => file.AlertsPage),
  system: () => import('./SystemPage').then((file): Page => file.SystemPage),
  login: () => import('./LoginPage').then((file): Page => file.LoginPage),
  setup: () => import('./SetupPage').then((file): Page => file.SetupPage),
  account: () => import('./AccountPage').then((file): Page => file.AccountPage),
  admin: () => import('./AdminPage').then((file): Page => file.AdminPage),
  kiosk: () => import('./KioskPage').then((file): Page => file.KioskPage),
  unknown: () => import('./NotFoundPage').then((file): Page => file.NotFoundPage),
};

const SESSION = /^\/sessions\/([0-9a-f-]{36})$/;
const loaded = new Map<PageName, Page>([['dashboard', DashboardPage]]);
const loading = new Map<PageName, Promise<void>>();

/** The page of an address, and for the page of a session its id. */
export function nameOf(address: URL): { name: PageName; id: string } {
  const path = pathOf(address.pathname);
  const id = SESSION.exec(path)?.[1] ?? '';
  if (id) return { name: 'session', id };
  if (path === '/') return { name: 'dashboard', id };
  const name = path.slice(1);
  return { name: Object.keys(LOADERS).includes(name) && name !== 'session' ? (name as PageName) : 'unknown', id };
}

/** The page, if its code is here. */
export function pageOf(name: PageName): Page | null {
  return loaded.get(name) ?? null;
}

/** Load the page of an address; null if it is here. Settles also where it cannot be loaded. */
export function load(address: URL): Promise<void> | null {
  const { name } = nameOf(address);
  if (name === 'dashboard' || loaded.has(name)) return null;
  let task = loading.get(name);
  if (!task) {
    task = Promise.all([LOADERS[name](), loadWords(['shell', 'pages'])])
      .then(([page]) => void loaded.set(name, page), report)
      .finally(() => loading.delete(name));
    loading.set(name, task);
  }
  return task;
}

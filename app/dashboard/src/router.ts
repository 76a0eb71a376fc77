/**
 * Router: the address, with its query, as state. Links within the dashboard change it without loading a page.
 *
 * Invariant: an address is shown once what its page needs has been loaded; until then the previous page stays.
 */
import { useSyncExternalStore, type MouseEvent } from 'react';
import { Listeners } from './feed/listeners';
import { at, pathOf } from './feed/mount';

/** Loads what an address needs; null if it is here already. Must not reject. */
type Prepare = (address: URL) => Promise<unknown> | null;

const listeners = new Listeners();
let prepare: Prepare = () => null;
/** What is being loaded, if anything. */
let loading: Promise<unknown> | null = null;
let shown = '';
/** Pages whose address carries a secret behind its #. It leaves the address bar and the history at once. */
const SECRET: readonly string[] = ['/setup', '/kiosk'];
let secret = '';
/** The query of each page when it was last shown, by path. */
const left = new Map<string, string>();

/** To be called before anything is rendered. */
export function prepareWith(task: Prepare): void {
  prepare = task;
  arrive();
}

/** Load what a link leads to before it is followed. */
export function foresee(event: { currentTarget: HTMLAnchorElement }): void {
  void prepare(new URL(event.currentTarget.href));
}

/** Where a link of the navigation leads: to its page as it was left, and from the page itself to its beginning. */
export function asLeft(path: string): string {
  return at(path) + (pathOf(new URL(shown || location.href).pathname) === path ? '' : (left.get(path) ?? ''));
}

/** The address that is shown. */
export function useAddress(): URL {
  const href = useSyncExternalStore(subscribe, () => shown || location.href);
  return new URL(href);
}

/** True while the page of the next address is on its way. */
export function useLoading(): boolean {
  return useSyncExternalStore(listeners.add, () => loading !== null);
}

/** Go to a path of the dashboard; `replace` takes the place of the address that is left. */
export function go(path: string, replace = false): void {
  show(at(path), replace, true);
}

/** Set or (with "") remove query parameters of the address; with `step`, "back" takes that back. */
export function setQuery(values: Readonly<Record<string, string>>, step = false): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  show(url.pathname + url.search, !step, false);
}

/** What was behind the # of a page in SECRET; "" if nothing was. */
export function useSecret(): string {
  return useSyncExternalStore(subscribe, () => secret);
}

/** For onClick of links: handles a plain click here and leaves any other to the browser. */
export function follow(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  const { pathname, search } = new URL(event.currentTarget.href);
  show(pathname + search, false, true);
}

function show(address: string, replace: boolean, scroll: boolean): void {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  arrive(scroll);
}

/** Show the address of the address bar as soon as its page is here. */
function arrive(scroll = false): void {
  if (location.hash && SECRET.includes(pathOf(location.pathname))) {
    secret = location.hash.slice(1);
    history.replaceState(null, '', location.pathname + location.search);
  }
  const task = prepare(new URL(location.href));
  loading = task;
  const ready = () => {
    if (loading !== task) return; // another address is wanted by now
    loading = null;
    shown = location.href;
    left.set(pathOf(location.pathname), location.search);
    if (scroll) scrollTo(0, 0);
    listeners.call();
  };
  if (task === null) return ready();
  void task.then(ready);
  listeners.call();
}

const back = () => arrive();

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) addEventListener('popstate', back);
  const remove = listeners.add(listener);
  return () => {
    remove();
    if (listeners.size === 0) removeEventListener('popstate', back);
  };
}

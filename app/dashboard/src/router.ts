/** Router: the address, with its query, as state. Links within the dashboard change it without loading a page. */
import { useSyncExternalStore, type MouseEvent } from 'react';
import { Listeners } from './feed/listeners';
import { at } from './feed/mount';

const listeners = new Listeners();

/** Path and query of the address. */
export function useAddress(): URL {
  const href = useSyncExternalStore(subscribe, () => location.href);
  return new URL(href);
}

/** Go to a path of the dashboard. */
export function go(path: string): void {
  show(at(path));
}

/** Set or (with "") remove query parameters of the address. */
export function setQuery(values: Readonly<Record<string, string>>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  show(url.pathname + url.search, true);
}

/** For onClick of links: handles a plain click here and leaves any other to the browser. */
export function follow(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  show(new URL(event.currentTarget.href).pathname);
}

/** Show an address; `replace` adds no entry to the history. */
function show(address: string, replace = false): void {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  if (!replace) scrollTo(0, 0);
  listeners.call();
}

function subscribe(listener: () => void): () => void {
  const remove = listeners.add(listener);
  addEventListener('popstate', listener);
  return () => {
    remove();
    removeEventListener('popstate', listener);
  };
}

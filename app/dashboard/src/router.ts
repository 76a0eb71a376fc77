/** Router: the address as state. Our own links change it without a load; back and forward work; queries are state, too. */
import { useSyncExternalStore, type MouseEvent } from 'react';

const listeners = new Set<() => void>();

/** Path and query of the address. */
export function useAddress(): URL {
  const href = useSyncExternalStore(subscribe, () => location.href);
  return new URL(href);
}

/** Go to a path of ours; `replace` keeps the history as it is. */
export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  if (!replace) scrollTo(0, 0);
  for (const listener of [...listeners]) listener();
}

/** Set or (with "") remove query parameters of the address. */
export function setQuery(values: Readonly<Record<string, string>>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url.pathname + url.search, true);
}

/** For onClick of links: a plain click stays in the page, anything else is the browser's. */
export function follow(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  go(new URL(event.currentTarget.href).pathname);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    removeEventListener('popstate', listener);
  };
}

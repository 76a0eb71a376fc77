/**
 * Credentials: how a page of another origin proves to a server who it is.
 *
 * Invariant: a token is asked for anew for each request and each connection, and stands in no address: an EventSource
 * cannot send headers, so a stream with a token is opened by `fetch`.
 */
import { eventSource, getJson, type Environment, type OpenSource } from './environment';
import { Frames } from './frames';
import { accessOf, feedOf } from './shared';

export interface AccessOptions {
  /** Resolves to the key that the server is to see. */
  token?: () => Promise<string>;
  /** Whether another origin gets the cookies that it has set. */
  credentials?: 'same-origin' | 'include';
}

/** Say how to ask a server from now on; what it holds stays, and a feed that is signed out tries again. */
export function setAccess(base: string, { token, credentials = 'same-origin' }: AccessOptions): void {
  const feed = feedOf(base);
  const headers = async (): Promise<Record<string, string>> =>
    token ? { Authorization: `Bearer ${await token()}` } : {};
  Object.assign(feed.environment, {
    getJson: async (url, signal) => getJson(url, { signal, credentials, headers: await headers() }),
    openSource: token ? fetched(headers, credentials) : eventSource(credentials === 'include'),
  } satisfies Partial<Environment>);
  if (feed.state.status === 'signed-out') feed.retry();
  if (accessOf(base).get().signedOut !== null) accessOf(base).reload();
}

function fetched(authorize: () => Promise<Record<string, string>>, credentials: RequestCredentials): OpenSource {
  return (url, heard, failed, cursor) => {
    const closing = new AbortController();
    const { signal } = closing;
    const carry = async () => {
      const headers = {
        Accept: 'text/event-stream',
        ...(cursor === null ? {} : { 'Last-Event-ID': cursor }),
        ...(await authorize()),
      };
      const response = await fetch(url, { signal, credentials, cache: 'no-store', headers });
      const reader = response.body?.getReader();
      const isStream = response.headers.get('Content-Type')?.startsWith('text/event-stream');
      if (!response.ok || !isStream) return reader?.cancel();
      const frames = new Frames((event) => {
        if (event.type === 'message') heard(event);
      });
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) frames.push(part.value);
    };
    void carry()
      .catch(() => {})
      .then(() => {
        if (!signal.aborted) failed();
      });
    return () => closing.abort();
  };
}

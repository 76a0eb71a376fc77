// @vitest-environment happy-dom
/** What the pages write: one request for each click, without a time of the browser's. */
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { resolveAlerts } from '../src/api/alerts';
import { toastStore } from '../src/browser/toasts';
import { SessionActions } from '../src/components/SessionActions';
import type { Session } from '../src/feed/rows';

let sent: { method: string; path: string; body: unknown }[];

beforeEach(() => {
  sent = [];
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('fetch', async (path: string, { method, body }: { method: string; body?: string }) => {
    sent.push({ method, path, body: body === undefined ? undefined : JSON.parse(body) });
    return Response.json({ resolved: 498 });
  });
});
afterEach(() => vi.unstubAllGlobals());

test('many alerts are resolved in one request, and the note says how many were open', async () => {
  const ids = Array.from({ length: 500 }, (_, index) => `alert${index}`);
  await resolveAlerts(ids);
  expect(sent).toEqual([{ method: 'POST', path: '/api/alerts/resolve', body: { ids } }]);
  expect(toastStore.get().at(-1)?.text).toBe('Resolved 498 alerts');
});

test('a session is stopped by the server', async () => {
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  const session = { id: 'one', session_name: 'Main door', status: 'active' } as Session;
  await act(async () => root.render(<SessionActions session={session} />));
  await act(async () => document.querySelector<HTMLElement>('button[title=Stop]')?.click());
  await act(async () => {
    document.querySelector('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  });
  expect(sent).toEqual([{ method: 'POST', path: '/api/sessions/one/stop', body: undefined }]);
  await act(async () => root.unmount());
});

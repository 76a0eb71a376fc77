// @vitest-environment happy-dom
/** What the pages write: one request for each click, without a time of the browser's, and what takes it back. */
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hiddenSessions, resolveAlerts } from '../src/api/actions';
import { acknowledgeAlerts, changeNote, muteAlerts, unmuteAlert } from '../src/api/alerts';
import { deleteSession } from '../src/api/sessions';
import { dismiss, stacked, toast, toastStore } from '../src/browser/toasts';
import { SessionActions } from '../src/components/SessionActions';
import type { Alert, Session } from '../src/feed/rows';

const AT = '2026-11-26T10:42:07.123456+00:00';
let sent: { method: string; path: string; body: unknown; keepalive: boolean }[];
let answer: () => Response;
let scopes: readonly string[] = ['read', 'operate', 'admin'];

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  answer = () => Response.json({ resolved: 1500, resolved_at: AT, stopped: 1, stopped_at: AT, deleted: 1 });
  for (const { id } of toastStore.get()) dismiss(id);
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('fetch', async (path: string, { method, body, keepalive }: RequestInit = {}) => {
    if (path === '/api/me') return Response.json({ access: 'user', name: 'ada', scopes });
    sent.push({ method: method!, path, body: body && JSON.parse(String(body)), keepalive: keepalive! });
    return answer();
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const post = (path: string, body: object, keepalive = false) => ({ method: 'POST', path, body, keepalive });
const texts = () => toastStore.get().map((one) => one.text);
const session = (id: string) => ({ id, session_name: 'Main door', status: 'active' }) as Session;

async function undo() {
  toastStore.get().at(-1)?.undo?.();
  await vi.advanceTimersByTimeAsync(0);
}

test.each([{ ids: Array.from({ length: 500 }, (_, index) => `alert${index}`) }, { all: true } as const])(
  'many alerts are resolved in one request, and opened again in one',
  async (which) => {
    await resolveAlerts(which);
    expect(texts()).toEqual(['Resolved 1,500 alerts']);
    await undo();
    expect(sent).toEqual([post('/api/alerts/resolve', which), post('/api/alerts/reopen', { resolved_at: AT })]);
  },
);

test('alerts are taken in hand, muted and noted, each with a way back', async () => {
  answer = () => Response.json({ acknowledged: 2, acknowledged_at: AT, muted: 3, muted_at: AT });
  const ids = ['one', 'two'];
  await acknowledgeAlerts(ids, '');
  await undo();
  await muteAlerts(ids, 15);
  await undo();
  const muted_until = new Date(Date.now() + 14.5 * 60_000).toISOString();
  await unmuteAlert({ id: 'one', muted_until } as Alert);
  await undo();
  await changeNote({ id: 'one', note: 'before' } as Alert, '');
  await undo();
  expect(texts()).toEqual(['2 alerts in hand', 'Muted 3 alerts', 'Alert unmuted', 'Note changed']);
  expect(sent).toEqual([
    post('/api/alerts/acknowledge', { ids }),
    post('/api/alerts/unacknowledge', { acknowledged_at: AT }),
    post('/api/alerts/mute', { ids, minutes: 15 }),
    post('/api/alerts/unmute', { ids }),
    post('/api/alerts/unmute', { ids: ['one'] }),
    post('/api/alerts/mute', { ids: ['one'], minutes: 15 }),
    { ...post('/api/alerts/one', { note: null }), method: 'PATCH' },
    { ...post('/api/alerts/one', { note: 'before' }), method: 'PATCH' },
  ]);
});

test('what was resolved already offers no way back', async () => {
  answer = () => Response.json({ resolved: 0, resolved_at: AT });
  await resolveAlerts({ ids: ['one'] });
  expect(toastStore.get().map((one) => one.undo)).toEqual([undefined]);
});

test('a storm of alerts does not take away the way back', async () => {
  await resolveAlerts({ all: true });
  for (let index = 0; index < 9; index += 1) toast({ kind: 'alert', text: `alert ${index}` });
  expect(stacked(toastStore.get()).map(({ top }) => top.text)).toEqual(['Resolved 1,500 alerts', 'alert 8']);
  await vi.advanceTimersByTimeAsync(8000);
  expect(texts()).not.toContain('Resolved 1,500 alerts');
});

/** Click an action of a session and confirm it. */
async function perform(title: string) {
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  await act(async () => root.render(<SessionActions session={session('one')} />));
  await act(async () => document.querySelector<HTMLElement>(`button[title=${title}]`)?.click());
  await act(async () => {
    document.querySelector('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  });
  return root;
}

test.each([
  [['read'], []],
  [
    ['read', 'operate'],
    ['Stop', 'Rename'],
  ],
  [
    ['read', 'operate', 'admin'],
    ['Stop', 'Rename', 'Delete'],
  ],
])('who may %j is offered %j', async (may, offered) => {
  const { accessOf } = await import('../src/feed/shared');
  scopes = may;
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  await act(async () => root.render(<SessionActions session={session('one')} />));
  await act(async () => accessOf().reload());
  expect([...document.querySelectorAll('button')].map((one) => one.title)).toEqual(offered);
  await act(async () => root.unmount());
  scopes = ['read', 'operate', 'admin'];
});

test('a session is stopped by the server, and resumed', async () => {
  const root = await perform('Stop');
  expect(texts()).toEqual(['Stopped Main door']);
  await undo();
  expect(sent).toEqual([
    post('/api/sessions/stop', { ids: ['one'] }),
    post('/api/sessions/resume', { stopped_at: AT }),
  ]);
  await act(async () => root.unmount());
});

test('a dialog says why the server refused, field by field', async () => {
  const problem = { title: 'Unprocessable', errors: [{ field: 'session_name', message: 'is too long' }] };
  answer = () => Response.json(problem, { status: 422 });
  const root = await perform('Rename');
  expect(document.querySelector('dialog [role=alert]')?.textContent).toBe(
    'That did not work: session_name is too long',
  );
  expect(texts()).toEqual([]);
  await act(async () => root.unmount());
});

test('a session is hidden at once, and deleted when it can no longer be taken back', async () => {
  deleteSession(session('gone'));
  expect([hiddenSessions.get().has('gone'), texts()]).toEqual([true, ['Deleted Main door']]);
  await vi.advanceTimersByTimeAsync(7900);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(sent).toEqual([post('/api/sessions/delete', { ids: ['gone'] })]);
  expect([hiddenSessions.get().has('gone'), texts()]).toEqual([true, []]);
});

test('a deletion that is taken back is never sent', async () => {
  deleteSession(session('kept'));
  await undo();
  await vi.advanceTimersByTimeAsync(60_000);
  dispatchEvent(new Event('pagehide'));
  expect([hiddenSessions.get().has('kept'), sent]).toEqual([false, []]);
});

test('a deletion that is refused brings the session back', async () => {
  answer = () => Response.json({ detail: 'The database is unavailable.' }, { status: 503 });
  deleteSession(session('refused'));
  await vi.advanceTimersByTimeAsync(8100);
  expect(hiddenSessions.get().has('refused')).toBe(false);
  expect(texts()).toEqual(['That did not work: The server cannot answer now. Try again in a moment.']);
});

test('who leaves the page has decided', async () => {
  deleteSession(session('first'));
  deleteSession(session('second'));
  dispatchEvent(new Event('pagehide'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toEqual([post('/api/sessions/delete', { ids: ['first', 'second'] }, true)]);
});

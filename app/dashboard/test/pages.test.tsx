// @vitest-environment happy-dom
/** What the pages say of totals: those of the server, and nothing that it has not said. */
import { act, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Totals } from '../src/api/stats';

const server = {
  totals: null as Totals | null,
  alerts: 0,
  lists: 0,
  sessions: null as object | null,
  source: null as Source | null,
};
const headers = { 'Last-Event-ID': '9' };
let root: Root;

class Source {
  onmessage: ((event: { data: string; lastEventId: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  constructor() {
    server.source = this;
    setTimeout(() => {
      if (!server.totals) return this.onerror?.();
      const data = { topics: ['alerts', 'metrics', 'movements', 'sessions'], cursor: '9', status: 'live' };
      this.onmessage?.({ data: JSON.stringify({ type: 'connection', data, timestamp: '' }), lastEventId: '9' });
    });
  }
  close() {}
}

beforeEach(() => {
  server.sessions = null;
  vi.resetModules(); // each test is a fresh page
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('EventSource', Source);
  vi.stubGlobal('fetch', async (url: string) => {
    if (url.endsWith('/api/me'))
      return Response.json({ access: 'open', name: null, scopes: ['read', 'operate', 'admin'] });
    if (!server.totals) return Response.json({ detail: 'The database is unavailable.' }, { status: 503 });
    const { pathname, searchParams } = new URL(url, 'http://server');
    if (pathname === '/api/stats') return Response.json(server.totals);
    if (pathname === '/api/alerts') server.lists += 1;
    const wanted = Number(searchParams.get('limit'));
    const count = pathname === '/api/alerts' ? Math.min(server.alerts, wanted) : 0;
    if (pathname === '/api/sessions' && server.sessions) return Response.json(server.sessions, { headers });
    const items = Array.from({ length: count }, (_, index) => alert(index));
    return Response.json({ items, next: count < server.alerts ? 'more' : null }, { headers: { 'Last-Event-ID': '9' } });
  });
  root = createRoot(document.body.appendChild(document.createElement('div')));
});

afterEach(async () => {
  await act(async () => root.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function alert(index: number) {
  const triggered_at = new Date(1_760_000_000_000 - index * 1000).toISOString();
  return {
    id: `alert${index}`,
    session_id: server.sessions && 'old',
    alert_type: 'people_count',
    triggered_at,
    is_resolved: false,
  };
}

function totalsWith(open_alerts: number): Totals {
  return {
    today: { entered: 5, exited: 2, peak: 4 },
    now: { inside: 3, active_sessions: 1, silent_sessions: 0, inside_silent: 0, ahead_sessions: 0, open_alerts },
  };
}

async function show(name: 'AlertsPage' | 'DashboardPage', path: string) {
  const { Shell } = await import('../src/components/Shell');
  const page: Record<string, () => ReactNode> =
    name === 'AlertsPage' ? await import('../src/pages/AlertsPage') : await import('../src/pages/DashboardPage');
  const Page = page[name]!;
  history.replaceState(null, '', path);
  await act(async () => root.render(<Shell page="alerts" children={<Page />} />));
  await act(() => new Promise((resolve) => setTimeout(resolve, 600)));
}

const text = (selector: string) => [...document.querySelectorAll(selector)].map((found) => found.textContent);

test('2000 open alerts are 2000, although the list holds 500', async () => {
  server.totals = totalsWith(2000);
  server.alerts = 2000;
  await show('AlertsPage', '/alerts');
  expect(text('.nav .count')).toEqual(['2,000']);
  expect(text('.select-bar .quiet')).toEqual(['the newest 500 of 2,000']);
});

test('a cut list that has lost half of its rows is read again', async () => {
  server.totals = totalsWith(2000);
  server.alerts = 2000;
  await show('AlertsPage', '/alerts');
  const before = server.lists;
  await act(async () => {
    for (let index = 0; index < 300; index += 1) {
      const data = { ...alert(index), is_resolved: true };
      const change = {
        id: 10 + index,
        table: 'alert_logs',
        action: 'UPDATE',
        data,
        old_data: alert(index),
        timestamp: 1,
      };
      const message = JSON.stringify({ type: 'data', data: change, timestamp: '' });
      server.source?.onmessage?.({ data: message, lastEventId: String(10 + index) });
    }
    await new Promise((resolve) => setTimeout(resolve, 900));
  });
  expect(server.lists).toBe(before + 1);
});

test('with the database away a fresh page shows no 0 and nothing green', async () => {
  server.totals = null;
  await show('DashboardPage', '/');
  expect(text('.tile-value')).toEqual(Array(6).fill('–'));
  expect(text('.nav .count')).toEqual(['–']);
  expect(document.querySelector('.tile.good')).toBeNull();
  expect(document.body.textContent).not.toContain('All clear.');
  expect(text('.area-alerts .empty')).toEqual(['Unknown until the server answers.']);
});

test('silent doors are said to be silent, with those that they count', async () => {
  const totals = totalsWith(0);
  server.alerts = 0;
  const items = [{ id: 'new', session_name: 'Door', status: 'active', created_at: '2026-11-24T12:00:00Z' }];
  server.sessions = { items, next: null };
  server.totals = { ...totals, now: { ...totals.now, silent_sessions: 2, inside_silent: 14 } };
  await show('DashboardPage', '/');
  expect(text('.tile-detail')).toContain('2 silent, with 14 inside');
});

test('all is clear once the server has said so, and no longer when it falls silent', async () => {
  server.totals = totalsWith(0);
  server.alerts = 0;
  await show('AlertsPage', '/alerts');
  expect(text('.alerts-page .empty')[0]).toBe('No open alerts. All clear.');
  expect(text('.nav .count')).toEqual([]);
  server.totals = null;
  await act(async () => server.source?.onerror?.());
  expect(document.body.textContent).not.toContain('All clear.');
  expect(text('.nav .count.stale')).toEqual(['0']);
  expect(document.querySelector('.nav .count')?.getAttribute('title')).toMatch(/^as of /);
});

test('an empty list is not all clear while the server counts open alerts', async () => {
  server.totals = totalsWith(1500);
  server.alerts = 0;
  await show('AlertsPage', '/alerts');
  expect(document.body.textContent).not.toContain('All clear.');
});

test.each([
  [null, 'Deleted session'],
  ['more', '–'],
])('a session that is not listed was deleted only if the list is whole (next: %j)', async (next, name) => {
  server.totals = totalsWith(1);
  server.alerts = 1;
  const items = [{ id: 'new', session_name: 'Main door', created_at: '2026-11-24T12:00:00Z' }];
  server.sessions = { items, next };
  await show('AlertsPage', '/alerts');
  expect(text('.alert-main a')).toEqual([name]);
});

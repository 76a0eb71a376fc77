/** Rendered by a server, in plain Node: every public hook says that it has nothing yet, and touches no browser. */
import { renderToString } from 'react-dom/server';
import { expect, test, vi } from 'vitest';

vi.stubGlobal('navigator', undefined); // Node has one, and channels; other servers do not
vi.stubGlobal('BroadcastChannel', undefined);
const hooks = await import('../src/hooks');

const plot = { topics: ['alerts'] as const, sessionId: null, load: () => new Promise<never>(() => {}), apply: () => 0 };
const rows = { rows: [], cut: false, loading: true, isConnected: false, error: null };
const { rows: _, ...list } = rows;
const uses: Readonly<Record<string, [() => unknown, object]>> = {
  useSSE: [() => hooks.useSSE('alerts'), { isConnected: false, error: null, lastMessage: null }],
  useRows: [() => hooks.useRows('movements'), rows],
  useSessionsSSE: [() => hooks.useSessionsSSE(), { sessions: [], ...list }],
  useMovementsSSE: [() => hooks.useMovementsSSE(), { movements: [], ...list }],
  useAlertsSSE: [() => hooks.useAlertsSSE(), { alerts: [], ...list }],
  useMetricsSSE: [() => hooks.useMetricsSSE(), { metrics: [], ...list }],
  useConnection: [
    () => hooks.useConnection(),
    { status: 'closed', since: 0, retryAt: null, losses: 0, error: null, reason: null },
  ],
  useAccess: [
    () => hooks.useAccess(),
    { access: null, name: null, role: null, scopes: [], loading: true, error: null, signedOut: null },
  ],
  useReplica: [() => hooks.useReplica('alerts', () => plot), { value: null, loading: true, error: null }],
};

test('these are all the public hooks', () => {
  const all = Object.keys(hooks).filter((name) => name.startsWith('use'));
  expect(Object.keys(uses).sort()).toEqual(all.sort());
  expect([typeof window, typeof document, typeof EventSource]).toEqual(Array(3).fill('undefined'));
});

test.each(Object.entries(uses))('%s renders to a string', (_, [use, expected]) => {
  const Page = () => <p>{JSON.stringify(use())}</p>;
  const html = renderToString(<Page />).replaceAll('&quot;', '"');
  expect(JSON.parse(html.slice(3, -4))).toEqual(expected);
});

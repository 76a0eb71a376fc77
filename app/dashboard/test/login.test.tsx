// @vitest-environment happy-dom
/** Signing in and out on a page: each call as the server wants it, and every component told. */
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

let sent: unknown[];
let signedIn: string | null;
let status: number;
let wrong: boolean;
/** How often the page asked who is signed in. */
let asked: number;
let root: Root;

const me = () => ({ access: 'user', name: signedIn, role: 'operator', scopes: ['read', 'operate'] });

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  [sent, signedIn, status, wrong, asked] = [[], null, 200, false, 0];
  vi.stubGlobal('fetch', async (path: string, { method, body }: RequestInit) => {
    if (method) sent.push([method, path, ...(body ? [JSON.parse(String(body)) as unknown] : [])]);
    else if (path === '/people/api/me') asked += 1;
    else sent.push(['GET', path]);
    if (wrong) return Response.json({ reason: 'wrong_credentials' }, { status: 401 });
    if (status === 429) return Response.json({ detail: 'Too many.' }, { status, headers: { 'Retry-After': '30' } });
    if (path.endsWith('/login')) signedIn = 'ada';
    if (path.endsWith('/logout')) signedIn = null;
    if (method === 'DELETE' || /log(out)$|password$/.test(path)) return new Response(null, { status: 204 });
    if (!signedIn && !/login$|setup$/.test(path))
      return Response.json({ reason: 'login_required', detail: 'Sign in.' }, { status: 401 });
    return Response.json(/me$|login$/.test(path) ? me() : { items: [], next: null });
  });
});
afterEach(async () => {
  vi.useRealTimers();
  await act(async () => root?.unmount());
  vi.unstubAllGlobals();
});

/** The modules of a page below a path, with a component that says what it knows. */
async function page() {
  (await import('../src/feed/mount')).mountBelow('/people');
  const access = await import('../src/api/access');
  const { useAccess } = await import('../src/hooks/useAccess');
  function Who() {
    const { access: by, name, role, may, loading, signedOut } = useAccess();
    return <p>{loading ? 'loading' : (signedOut ?? `${by} ${name} ${role} ${may('operate')} ${may('admin')}`)}</p>;
  }
  const place = document.createElement('div');
  root = createRoot(place);
  await act(async () => root.render(<Who />));
  return { access, text: () => place.textContent };
}

test('a component knows who is signed in, through login, refusal and logout', async () => {
  const { access, text } = await page();
  expect(text()).toBe('login_required');
  await act(async () => void (await access.login({ username: 'ada', password: 'a long password' })));
  expect(text()).toBe('user ada operator true false');
  await act(async () => access.logout());
  expect(text()).toBe('login_required');
  await act(async () => void (await access.login({ key: 'pf_1_x' })));
  signedIn = null; // somebody else ended it
  await act(async () => void (await access.users().catch(() => {})));
  expect(text()).toBe('login_required');
});

test('who tries too often is told for how long to wait', async () => {
  const { access } = await page();
  status = 429;
  const error = await access.login({ username: 'ada', password: '' }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'RequestError', status: 429, message: 'Too many.', retryAfter: 30 });
});

test('a wrong password signs nobody out', async () => {
  signedIn = 'ada';
  const { access, text } = await page();
  wrong = true;
  await act(async () => void (await access.login({ username: 'bob', password: '' }).catch(() => {})));
  expect(text()).toBe('user ada operator true false');
  expect(asked).toBe(1);
});

test('each call is the one that the server knows, below the path of the page', async () => {
  const { access } = await page();
  signedIn = 'ada';
  const user = { username: 'bob', role: 'viewer', password: 'a long password' } as const;
  await act(async () => void (await access.setup({ token: 't', username: 'ada', password: 'p' })));
  await access.changePassword('old', 'new');
  await access.logins();
  await access.endLogin('1/2');
  await access.users();
  await access.addUser(user);
  await access.changeUser('7', { is_disabled: true });
  await access.deleteUser('7');
  await access.keys();
  await access.addKey({ name: 'door', scope: 'ingest', session_ids: ['s'] });
  await access.revokeKey('k');
  await access.audit({ limit: 100, before: '9' });
  await access.ticket({ topics: 'alerts', resolved: false });
  await access.me();
  expect(sent).toEqual([
    ['POST', '/people/api/setup', { token: 't', username: 'ada', password: 'p' }],
    ['POST', '/people/api/password', { old_password: 'old', new_password: 'new' }],
    ['GET', '/people/api/logins'],
    ['DELETE', '/people/api/logins/1%2F2'],
    ['GET', '/people/api/users'],
    ['POST', '/people/api/users', user],
    ['PATCH', '/people/api/users/7', { is_disabled: true }],
    ['DELETE', '/people/api/users/7'],
    ['GET', '/people/api/keys'],
    ['POST', '/people/api/keys', { name: 'door', scope: 'ingest', session_ids: ['s'] }],
    ['DELETE', '/people/api/keys/k'],
    ['GET', '/people/api/audit?limit=100&before=9'],
    ['POST', '/people/api/tickets', { topics: 'alerts', resolved: false }],
  ]);
});

/** A page with a stream that is live, and with counters; its login ends, and only a request tells so. */
async function endLogin(autoReconnect: boolean) {
  vi.useFakeTimers();
  const sources: { onmessage?: (event: object) => void }[] = [];
  vi.stubGlobal(
    'EventSource',
    class {
      onmessage?: (event: object) => void;
      constructor() {
        sources.push(this);
      }
      close() {}
    },
  );
  vi.stubGlobal('BroadcastChannel', undefined);
  signedIn = 'ada';
  const { access } = await page();
  const { feedOf } = await import('../src/feed/shared');
  const { useSSE } = await import('../src/hooks/useSSE');
  const { useWorkers } = await import('../src/api/system');
  function Live() {
    useWorkers();
    return <p>{useSSE('alerts', { autoReconnect }).isConnected}</p>;
  }
  await act(async () => root.render(<Live />));
  const wait = (milliseconds: number) => act(async () => void (await vi.advanceTimersByTimeAsync(milliseconds)));
  const data = JSON.stringify({ type: 'connection', data: { topics: ['alerts'], cursor: '5', status: 'live' } });
  await act(async () => sources[0]!.onmessage!({ data, lastEventId: '5' }));
  expect(feedOf().state.status).toBe('live');
  signedIn = null;
  await act(async () => void (await access.users().catch(() => {})));
  await wait(100);
  return { access, sources, wait, state: () => feedOf().state.status };
}

test('counters are not asked for while nobody is signed in, and again after a login', async () => {
  const { access, sources, wait, state } = await endLogin(true);
  expect(state()).toBe('signed-out');
  const before = sent.length;
  await wait(20_000);
  expect(sent.length).toBe(before);
  await act(async () => void (await access.login({ key: 'pf_1_x' })));
  await wait(10_000);
  expect(sent.slice(before + 1)).toEqual([['GET', '/people/api/system/workers']]);
  expect(sources.length).toBe(2);
});

test('a hook that is not to reconnect does not after a login either', async () => {
  const { access, sources, wait, state } = await endLogin(false);
  expect(state()).toBe('closed');
  await act(async () => void (await access.login({ key: 'pf_1_x' })));
  await wait(60_000);
  expect(sources.length).toBe(1);
});

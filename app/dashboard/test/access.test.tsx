// @vitest-environment happy-dom
/** Signing in: what is asked before, what is said when it fails, and where it leads. */
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const ADA = { access: 'user', name: 'ada', role: 'admin', scopes: ['read', 'operate', 'admin'] };
const LOGGED_OUT = { title: 'Unauthorized', status: 401, reason: 'login_required' };

let root: Root;
let asked: string[];
let bodies: unknown[];
let answers: Record<string, () => Response>;

class Source {
  close() {}
}

beforeEach(() => {
  vi.resetModules(); // each test is a fresh page
  asked = [];
  bodies = [];
  answers = {
    '/api/me': () => Response.json(LOGGED_OUT, { status: 401 }),
    '/api/stats': () => Response.json({}, { status: 503 }),
    '/api/sessions/figures': () => Response.json([], { headers: { 'Last-Event-ID': '9' } }),
    '/api/analytics/flow': () => Response.json([], { headers: { 'Last-Event-ID': '9' } }),
  };
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('EventSource', Source);
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    const path = url.split('?')[0]!;
    asked.push(path);
    if (init.body) bodies.push(JSON.parse(String(init.body)));
    return answers[path]?.() ?? Response.json({ items: [], next: null }, { headers: { 'Last-Event-ID': '9' } });
  });
  root = createRoot(document.body.appendChild(document.createElement('div')));
});

afterEach(async () => {
  await act(async () => root.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

async function open(path: string) {
  history.replaceState(null, '', path);
  const { App } = await import('../src/components/App');
  const { load } = await import('../src/pages/loaders');
  const { prepareWith } = await import('../src/router');
  prepareWith(load);
  await act(async () => root.render(<App />));
  await settle();
}

/** Until nothing is being loaded any more, however long that takes on a busy machine, and effects have run. */
const settle = () =>
  act(async () => {
    for (let round = 0; round < 4; round += 1) {
      await vi.dynamicImportSettled();
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  });
const field = (name: string) => document.querySelector<HTMLInputElement>(`input[name=${name}]`)!;
const here = () => location.pathname + location.search + location.hash;

async function submit(fields: Record<string, string>) {
  for (const [name, value] of Object.entries(fields)) field(name).value = value;
  await act(async () => {
    document.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  });
  await settle();
}

test('who is not signed in is asked first, and is led back to where they were', async () => {
  await open('/live?window=60#workers');
  expect(here()).toBe(`/login?next=${encodeURIComponent('/live?window=60#workers')}`);
  expect(asked.filter((path) => path !== '/api/me')).toEqual([]);
  expect([field('username').autocomplete, field('password').autocomplete]).toEqual(['username', 'current-password']);
  answers['/api/login'] = () => Response.json(ADA);
  answers['/api/me'] = () => Response.json(ADA);
  await submit({ username: ' ada ', password: 'correct horse battery' });
  expect(bodies).toEqual([{ username: 'ada', password: 'correct horse battery' }]);
  expect(here()).toBe('/live?window=60#workers');
});

test.each([
  [null, '/'],
  ['/live?sessions=1#x', '/live?sessions=1#x'],
  ['//elsewhere.example', '/'],
  ['/\\\\elsewhere.example', '/'],
  ['https://elsewhere.example', '/'],
  ['/login?next=/login', '/'],
])('a link to the login page that names %j leads to %j', async (next, path) => {
  const { within } = await import('../src/pages/LoginPage');
  expect(within(next)).toBe(path);
});

test('what went wrong is said in a sentence, and how long to wait is counted down', async () => {
  await open('/login');
  answers['/api/login'] = () => Response.json({ status: 401, reason: 'wrong_credentials' }, { status: 401 });
  await submit({ username: 'ada', password: 'wrong' });
  expect(document.querySelector('[role=alert]')?.textContent).toBe('The user name or the password is wrong.');
  answers['/api/login'] = () => Response.json({}, { status: 429, headers: { 'Retry-After': '30' } });
  await submit({ username: 'ada', password: 'wrong' });
  const button = document.querySelector<HTMLButtonElement>('button[type=submit]')!;
  expect(document.querySelector('[role=alert]')?.textContent).toBe('Too many attempts. Try again in 30 s.');
  expect(button.disabled).toBe(true);
  expect(button.textContent).toMatch(/^Sign in \((29|30) s\)$/);
});

test('the token of the set-up link leaves the address at once', async () => {
  await open('/setup#secret-token');
  expect(here()).toBe('/setup');
  expect(document.body.textContent).toContain('At least 12 characters');
  answers['/api/setup'] = () =>
    Response.json({ errors: [{ field: 'password', message: 'is common' }] }, { status: 422 });
  await submit({ username: 'ada', password: 'aaaaaaaaaaaa' });
  expect(bodies).toEqual([{ token: 'secret-token', username: 'ada', password: 'aaaaaaaaaaaa' }]);
  expect(document.querySelector('[role=alert]')?.textContent).toMatch(/^This password is too short/);
});

test('a kiosk enters with its key and shows nothing that leads elsewhere or writes', async () => {
  answers['/api/login'] = () => Response.json({ ...ADA, access: 'key', name: 'Lobby', role: null });
  await open('/kiosk#pf_1_secret');
  expect([here(), bodies]).toEqual(['/kiosk', [{ key: 'pf_1_secret' }]]);
  expect(document.querySelectorAll('.tile')).toHaveLength(6);
  expect(document.querySelectorAll('a[href], button, input')).toHaveLength(0);
});

test('a page whose access ends stays below a login form, and goes on', async () => {
  answers['/api/me'] = () => Response.json(ADA);
  await open('/sessions?status=active');
  expect(document.querySelector('.account')?.textContent).toContain('ada');
  const shown = document.querySelector('.sessions');
  const { accessOf } = await import('../src/feed/shared');
  answers['/api/me'] = () => Response.json({ status: 401, reason: 'access_ended' }, { status: 401 });
  await act(async () => accessOf().reload());
  await settle();
  expect(document.querySelector('dialog.ended h2')?.textContent).toBe('Your access has ended');
  expect(document.querySelector('.sessions')).toBe(shown);
  answers['/api/login'] = answers['/api/me'] = () => Response.json(ADA);
  await submit({ username: 'ada', password: 'correct horse battery' });
  expect(document.querySelector('dialog.ended')).toBeNull();
  expect([here(), document.querySelector('.sessions')]).toEqual(['/sessions?status=active', shown]);
});

test('while the feed is open to everyone, nothing is shown of access', async () => {
  answers['/api/me'] = () => Response.json({ access: 'open', name: null, role: null, scopes: ['read', 'admin'] });
  await open('/');
  expect(document.querySelector('.account, a[href="/admin"]')).toBeNull();
});

test('the previous page stays until the next is there, and one that cannot be loaded says so', async () => {
  answers['/api/me'] = () => Response.json(ADA);
  await open('/');
  const { go, prepareWith } = await import('../src/router');
  let arrive = () => {};
  prepareWith((address) =>
    address.pathname === '/live' ? new Promise<void>((resolve) => void (arrive = resolve)) : null,
  );
  await act(async () => go('/live'));
  expect([here(), document.querySelector('.nav [aria-current]')?.getAttribute('href')]).toEqual(['/live', '/']);
  await act(async () => arrive()); // without its code
  expect(document.querySelector('h1')?.textContent).toBe('This page could not be loaded');
  expect(document.querySelector('main button')?.textContent).toBe('Reload');
});

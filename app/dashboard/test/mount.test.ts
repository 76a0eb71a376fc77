/** Where the dashboard's addresses lead when it is mounted below a path, and that hooks of other pages know no such path. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';

const SOURCE = join(import.meta.dirname, '../src');

beforeEach(() => {
  vi.resetModules();
  vi.unstubAllGlobals();
});

async function page(prefix?: string) {
  const mount = await import('../src/feed/mount');
  const { feedOf } = await import('../src/feed/shared');
  if (prefix !== undefined) mount.mountBelow(prefix);
  return { ...mount, feedOf };
}

test('the page of others asks its own server, or the one that it names', async () => {
  const { feedOf } = await page();
  const { parseEndpoint } = await import('../src/hooks/useSSE');
  expect(feedOf().options.base).toBe('');
  for (const base of ['https://feed.example', '/people', 'https://site.example/people'])
    expect(feedOf(parseEndpoint(`${base}/api/sse/alerts`).base).options.base).toBe(base);
});

test('below a path, the dashboard asks below it', async () => {
  const { at, feedOf, pathOf } = await page('/people');
  expect(feedOf().options.base).toBe('/people');
  expect(feedOf('')).toBe(feedOf('/people'));
  expect(feedOf('https://feed.example').options.base).toBe('https://feed.example');
  expect(at('/sessions')).toBe('/people/sessions');
  expect(['/people', '/people/', '/people/sessions', '/sessions'].map(pathOf)).toEqual([
    '/',
    '/',
    '/sessions',
    '/sessions',
  ]);
});

test('requests go below it', async () => {
  await page('/people');
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string) => (asked.push(url), Response.json({})));
  const { get, send } = await import('../src/api/rest');
  await get('/api/stats');
  await send('POST', '/api/sessions', {});
  expect(asked).toEqual(['/people/api/stats', '/people/api/sessions']);
});

test('every link and every request is made by the module that knows the path', () => {
  const files = (readdirSync(SOURCE, { recursive: true }) as string[]).filter((name) => /\.tsx?$/.test(name));
  const read = (name: string) => readFileSync(join(SOURCE, name), 'utf8');
  expect(files.filter((name) => /href=("\/|\{[`']\/)/.test(read(name)))).toEqual([]);
  expect(files.filter((name) => /\bfetch\(/.test(read(name))).sort()).toEqual([
    'api/rest.ts',
    'feed/credentials.ts',
    'feed/environment.ts',
  ]);
  expect(files.filter((name) => /\b(push|replace)State\(/.test(read(name)))).toEqual(['router.ts']);
});

/** Streams that are opened by fetch: read as an EventSource reads them, and with a token that is asked for anew. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Frames } from '../src/feed/frames';
import { chance } from './chance';

type Case = [input: string, events: (string | [type: string, data: string])[], lastEventId: string];

// One table holds every parser of this repository.
const PRINT = 'import json, event_streams; print(json.dumps(event_streams.CASES))';
const cwd = join(import.meta.dirname, '../../../tests');
const CASES = JSON.parse(execFileSync('python3', ['-c', PRINT], { cwd, encoding: 'utf8' })) as Record<string, Case>;

function read(parts: readonly Uint8Array[]): Case[1][] | unknown {
  const events: Case[1] = [];
  const frames = new Frames(({ type, data }) => events.push(type === 'message' ? data : [type, data]));
  for (const part of parts) frames.push(part);
  return [events, frames.lastEventId];
}

test.each(Object.entries(CASES))('%s, however the bytes are cut', (_, [input, ...expected]) => {
  const bytes = new TextEncoder().encode(input);
  expect(read([bytes])).toEqual(expected);
  expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
  for (let at = 0; at <= Math.min(bytes.length, 200); at += 1)
    expect(read([bytes.slice(0, at), bytes.slice(at)]), `cut at ${at}`).toEqual(expected);
  const random = chance(bytes.length);
  for (let run = 0; run < 20; run += 1) {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) parts.push(bytes.slice(at, (at += Math.floor(random() * 7))));
    expect(read(parts)).toEqual(expected);
  }
});

const BASE = 'https://feed.example';
const SNAPSHOT = `${BASE}/api/alerts?limit=500`;
const BEAT = 'data: {"type":"heartbeat"}\n\n';
const STREAM = { 'Content-Type': 'text/event-stream; charset=utf-8' };
const encoder = new TextEncoder();
const frame = (message: object, id: string) => encoder.encode(`data: ${JSON.stringify(message)}\nid: ${id}\n\n`);
const connection = (cursor: string) =>
  frame({ type: 'connection', data: { topics: [], cursor, status: 'live' } }, cursor);

let asked: { url: string; init: RequestInit & { headers: Record<string, string> } }[];
let streams: ReadableStreamDefaultController<Uint8Array>[];
let answer: (url: string) => Response;

beforeEach(() => {
  vi.resetModules();
  vi.useFakeTimers();
  asked = [];
  streams = [];
  answer = (url) => {
    if (url.endsWith('/api/me')) return Response.json({ access: 'key', scopes: ['read'] });
    if (url === SNAPSHOT) return Response.json({ items: [], next: null }, { headers: { 'Last-Event-ID': '5' } });
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void streams.push(controller) });
    return new Response(body, { headers: STREAM });
  };
  vi.stubGlobal('fetch', async (url: string, init: (typeof asked)[number]['init']) => {
    asked.push({ url, init });
    return answer(url);
  });
  vi.stubGlobal('window', new EventTarget());
  vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: true }));
  vi.stubGlobal('navigator', undefined); // no locks: the tab leads at once
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A list of a server that wants a token. */
async function follow(token?: () => Promise<string>, credentials?: 'include') {
  const { setAccess } = await import('../src/feed/credentials');
  const { feedOf, replicaOf } = await import('../src/feed/shared');
  const { listOf } = await import('../src/feed/list');
  setAccess(BASE, { ...(token ? { token } : {}), ...(credentials ? { credentials } : {}) });
  const replica = replicaOf('alerts', () => listOf('alerts'), BASE);
  const stop = replica.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(10);
  return { feed: feedOf(BASE), replica, stop, setAccess };
}

const opened = () => asked.filter(({ url }) => url.includes('/api/sse?'));
const tokens = (of: typeof asked) => of.map(({ init }) => init.headers.Authorization);

test('snapshots and streams carry a token, asked for anew by each connection, which resumes', async () => {
  let number = 0;
  const { feed, stop } = await follow(async () => `t${++number}`);
  expect(asked.map(({ url }) => url.split('?')[0])).toEqual([`${BASE}/api/alerts`, `${BASE}/api/sse`]);
  expect(tokens(asked)).toEqual(['Bearer t1', 'Bearer t2']);
  expect(opened()[0]!.init.headers).toMatchObject({ 'Accept': 'text/event-stream', 'Last-Event-ID': '5' });
  streams[0]!.enqueue(connection('5'));
  streams[0]!.enqueue(frame({ type: 'heartbeat' }, '9'));
  await vi.advanceTimersByTimeAsync(10);
  expect(feed.state.status).toBe('live');
  streams[0]!.close();
  await vi.advanceTimersByTimeAsync(2000);
  expect(opened().map(({ init }) => init.headers['Last-Event-ID'])).toEqual(['5', '9']);
  expect(new Set(tokens(asked)).size).toBe(asked.length);
  expect(asked.filter(({ url }) => /t\d/.test(url) || !url.startsWith(BASE))).toEqual([]);
  expect(asked.map(({ init }) => init.credentials)).toEqual(asked.map(() => 'same-origin'));
  stop();
  await vi.advanceTimersByTimeAsync(10);
  expect(opened()[1]!.init.signal!.aborted).toBe(true);
});

test('frames of another type are nobody’s, as with an EventSource', async () => {
  const { feed } = await follow(async () => 't');
  const types: string[] = [];
  feed.hearAll((message) => types.push(message.type));
  streams[0]!.enqueue(encoder.encode('event: other\ndata: {"type":"heartbeat"}\n\ndata: {"type":"heartbeat"}\n\n'));
  await vi.advanceTimersByTimeAsync(10);
  expect(types).toEqual(['heartbeat']);
});

test.each([
  ['is refused', () => new Response(BEAT, { status: 503, headers: STREAM })],
  ['gets no stream', () => new Response(BEAT, { headers: { 'Content-Type': 'text/html' } })],
])('a connection that %s is tried again', async (_, refusal) => {
  const before = answer;
  answer = (url) => (url.includes('/api/sse?') ? refusal() : before(url));
  const { feed } = await follow(async () => 't');
  const heard: unknown[] = [];
  feed.hearAll((message) => heard.push(message));
  await vi.advanceTimersByTimeAsync(3000);
  expect(feed.state).toMatchObject({ status: 'reconnecting', error: 'connection_lost' });
  expect(heard).toEqual([]);
  answer = before;
  await vi.advanceTimersByTimeAsync(9000);
  streams[0]!.enqueue(connection('5'));
  await vi.advanceTimersByTimeAsync(10);
  expect(feed.state.status).toBe('live');
});

test('a token that counts no longer signs out, and a new one resumes', async () => {
  const before = answer;
  answer = () => Response.json({ reason: 'access_ended', detail: 'The key has ended.' }, { status: 401 });
  const { feed, replica, setAccess } = await follow(async () => 'old');
  await vi.advanceTimersByTimeAsync(2000);
  expect(feed.state).toMatchObject({ status: 'signed-out', reason: 'access_ended' });
  expect(replica.get().error?.message).toBe('The key has ended.');
  const count = asked.length;
  answer = before;
  setAccess(BASE, { token: async () => 'new' });
  await vi.advanceTimersByTimeAsync(100);
  streams[0]!.enqueue(connection('5'));
  await vi.advanceTimersByTimeAsync(10);
  expect(feed.state.status).toBe('live');
  expect(replica.get()).toMatchObject({ value: { rows: [] }, error: null });
  expect(new Set(tokens(asked.slice(count)))).toEqual(new Set(['Bearer new']));
});

test('a token that cannot be had is an error, tried again', async () => {
  let token = async () => Promise.reject<string>(new Error('no token today'));
  const { replica } = await follow(() => token());
  expect([asked.length, replica.get().error?.message]).toEqual([0, 'no token today']);
  token = async () => 't';
  await vi.advanceTimersByTimeAsync(2000);
  expect(replica.get().error).toBeNull();
});

test('cookies go to another origin where that is asked for', async () => {
  const made: [string, unknown][] = [];
  vi.stubGlobal(
    'EventSource',
    class {
      constructor(url: string, options: unknown) {
        made.push([url, options]);
      }
      close() {}
    },
  );
  await follow(undefined, 'include');
  expect(asked.map(({ url, init }) => [url, init.credentials, init.headers.Authorization])).toEqual([
    [SNAPSHOT, 'include', undefined],
  ]);
  expect(made).toEqual([[`${BASE}/api/sse?topics=alerts&last_event_id=5`, { withCredentials: true }]]);
});

test('one server’s token goes to no other', async () => {
  const { setAccess } = await import('../src/feed/credentials');
  const { feedOf } = await import('../src/feed/shared');
  setAccess(BASE, { token: async () => 'secret' });
  await feedOf('https://other.example').environment.getJson(
    'https://other.example/api/me',
    new AbortController().signal,
  );
  expect(tokens(asked)).toEqual([undefined]);
});

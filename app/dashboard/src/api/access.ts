/** Access: signing in and out, and who else may. What changes this page's own access is told to its hooks and its stream. */
import type { Me, Role, Scope } from '../feed/access';
import { accessOf, feedOf } from '../feed/shared';
import { get, send } from './rest';

export interface Login {
  id: string;
  created_at: string;
  seen_at: string;
  expires_at: string;
  address: string | null;
  user_agent: string | null;
  is_current: boolean;
}

export interface User {
  id: string;
  username: string;
  role: Role;
  is_disabled: boolean;
  has_password: boolean;
  created_at: string;
  seen_at: string | null;
}

export interface Key {
  id: string;
  name: string;
  scope: Scope;
  session_ids: string[];
  is_restricted: boolean;
  created_at: string;
  created_by: string | null;
  expires_at: string | null;
  revoked_at: string | null;
}

/** Its text is shown once, when it is made. */
export type NewKey = Key & { key: string };

export interface Entry {
  id: string;
  at: string;
  actor: string | null;
  address: string | null;
  action: string;
  subject: string | null;
  details: Record<string, unknown>;
}

export interface Ticket {
  ticket: string;
  expires_at: string;
}

interface Items<R> {
  items: R[];
}

/** Who is signed in. Components use `useAccess`. */
export const me = (signal?: AbortSignal) => get<Me>('/api/me', signal);

/** Sign in, by password or by a key that was made for it; 401 `wrong_credentials`, or 429 with `retryAfter`. */
export const login = (by: { username: string; password: string } | { key: string }) => enter('/api/login', by);

/** Make the first user, with the token that the server has shown; 403, 409 if somebody was quicker, 422. */
export const setup = (first: { token: string; username: string; password: string }) => enter('/api/setup', first);

export async function logout(): Promise<void> {
  await send('POST', '/api/logout');
  accessOf().reload();
  feedOf().check();
}

/** Change one's own; all other logins end. 403 `wrong_credentials`, 422 if it is too weak. */
export async function changePassword(old_password: string, new_password: string): Promise<void> {
  await send('POST', '/api/password', { old_password, new_password });
}

/** One's own. */
export const logins = (signal?: AbortSignal) => list<Login>('/api/logins', signal);
export const endLogin = (id: string) => remove('/api/logins', id);

export const users = (signal?: AbortSignal) => list<User>('/api/users', signal);
export const addUser = (user: { username: string; role: Role; password: string }) =>
  write<User>('POST', '/api/users', user);
/** 409 if it would leave no admin. */
export const changeUser = (id: string, change: { role?: Role; password?: string; is_disabled?: boolean }) =>
  write<User>('PATCH', `/api/users/${encodeURIComponent(id)}`, change);
export const deleteUser = (id: string) => remove('/api/users', id);

export const keys = (signal?: AbortSignal) => list<Key>('/api/keys', signal);
export const addKey = (key: { name: string; scope: Scope; session_ids?: readonly string[]; expires_at?: string }) =>
  write<NewKey>('POST', '/api/keys', key);
export const revokeKey = (id: string) => remove('/api/keys', id);

/** What was done, newest first; `before` is the `next` of the page before. */
export const audit = (page: { limit?: number; before?: string } = {}, signal?: AbortSignal) => {
  const query = new URLSearchParams(Object.entries(page).map(([name, value]) => [name, String(value)]));
  return get<Items<Entry> & { next: string | null }>(`/api/audit?${query}`, signal);
};

/** For a stream that a page of another origin opens with a plain EventSource. */
export const ticket = (stream: { topics?: string; session_id?: string; resolved?: boolean } = {}) =>
  write<Ticket>('POST', '/api/tickets', stream);

async function enter(path: string, by: object): Promise<Me> {
  const answer = await write<Me>('POST', path, by);
  accessOf().take(answer);
  feedOf().retry();
  return answer;
}

async function list<R>(path: string, signal?: AbortSignal): Promise<R[]> {
  return (await get<Items<R>>(path, signal)).items;
}

async function write<R>(method: 'POST' | 'PATCH', path: string, body: object): Promise<R> {
  return (await send<R>(method, path, body)) as R;
}

async function remove(path: string, id: string): Promise<void> {
  await send('DELETE', `${path}/${encodeURIComponent(id)}`);
}

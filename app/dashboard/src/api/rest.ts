/** Requests to the REST API. A refusal becomes a RequestError with a readable message. */
import { signedOutBy } from '../feed/refusal';
import { refusalOf, type RequestError } from '../feed/environment';
import { at } from '../feed/mount';
import { accessOf, feedOf } from '../feed/shared';

/** Send JSON; resolves to the row, or null if the response has none. */
export async function send<R>(
  method: 'POST' | 'PATCH' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  keepalive = false,
): Promise<R | null> {
  const response = await fetch(at(path), {
    method,
    keepalive,
    headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.ok) return response.status === 204 ? null : ((await response.json()) as R);
  throw await refused(response, path);
}

/** GET as JSON. */
export async function get<R>(path: string, signal?: AbortSignal): Promise<R> {
  const response = await fetch(at(path), { headers: { Accept: 'application/json' }, ...(signal ? { signal } : {}) });
  if (!response.ok) throw await refused(response, path);
  return (await response.json()) as R;
}

/** Where nobody is signed in any more, the rest of the page is to know. */
async function refused(response: Response, path: string): Promise<RequestError> {
  const error = await refusalOf(response, path);
  if (signedOutBy(error) !== null && accessOf().get().signedOut === null) {
    accessOf().reload();
    feedOf().check();
  }
  return error;
}

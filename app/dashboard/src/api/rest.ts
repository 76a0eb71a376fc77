/** Requests to the REST API. A refusal becomes a RequestError with a readable message. */
import { RequestError } from '../feed/environment';
import { at } from '../feed/mount';

interface Problem {
  title?: string;
  detail?: string;
  errors?: { field: string; message: string }[];
}

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
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const fields = (problem.errors ?? []).map((error) => `${error.field} ${error.message}`).join('; ');
  throw new RequestError(
    response.status,
    problem,
    fields || problem.detail || problem.title || String(response.status),
  );
}

/** GET as JSON. */
export async function get<R>(path: string, signal?: AbortSignal): Promise<R> {
  const response = await fetch(at(path), { headers: { Accept: 'application/json' }, ...(signal ? { signal } : {}) });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok)
    throw new RequestError(response.status, body, (body as Problem | null)?.detail ?? String(response.status));
  return body as R;
}

/** What the feed needs from a browser, so that tests can replace clock, randomness, network and other tabs. */
import { parseCursor, type Cursor } from './cursor';

export interface SourceEvent {
  data: string;
  lastEventId: string;
}

export type OpenSource = (
  url: string,
  heard: (event: SourceEvent) => void,
  failed: () => void,
  cursor: Cursor | null,
) => () => void;

/** The part of BroadcastChannel that we use. */
export interface Channel {
  postMessage(message: unknown): void;
  close(): void;
}

/** The part of the Web Locks API that we use. */
export interface Locks {
  request(
    name: string,
    options: { steal?: boolean; signal?: AbortSignal },
    hold: () => Promise<void>,
  ): Promise<unknown>;
}

export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** Run later; returns a function that cancels. */
  later(milliseconds: number, task: () => void): () => void;
  random(): number;
  /** Open a stream at a cursor, which the address names, too; returns a function that closes it. */
  openSource: OpenSource;
  /** GET as JSON with the cursor at which it was read; rejects on any status but 2xx. */
  getJson(url: string, signal: AbortSignal): Promise<{ body: unknown; cursor: Cursor | null }>;
  /** Undefined where the browser has none: Web Locks need HTTPS or localhost. */
  locks: Locks | undefined;
  openChannel: ((name: string, heard: (message: unknown) => void) => Channel) | undefined;
  /** True while nobody can see the page. */
  readonly hidden: boolean;
  /** Call back when the network is back or the page is shown again; returns a function that stops. */
  onReturn(task: () => void): () => void;
  /** Call back when the page is left, and when the browser shows it again as it was; returns a function that stops. */
  onLeave(left: () => void, back: () => void): () => void;
  /** Run once before the next frame, or soon if there are no frames (a hidden page). */
  nextFrame(task: () => void): () => void;
}

/** What the server says about a refusal, beside its status. */
interface Problem {
  title?: string;
  detail?: string;
  reason?: string;
  scope?: string;
  errors?: { field: string; message: string }[];
}

/** A request that the server refused or could not answer. */
export class RequestError extends Error {
  readonly status: number;
  readonly problem: unknown;
  /** After how many seconds to ask again, if the server said so. */
  readonly retryAfter: number | null;

  constructor(status: number, problem: unknown, message: string, retryAfter: number | null = null) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** The server's code for why, such as "login_required". */
  get reason(): string | null {
    return (this.problem as Problem | null)?.reason ?? null;
  }

  /** The scope that it would take. */
  get scope(): string | null {
    return (this.problem as Problem | null)?.scope ?? null;
  }
}

/** The error of an answer that is not 2xx, with a readable message. */
export async function refusalOf(response: Response, url: string): Promise<RequestError> {
  const problem = ((await response.json().catch(() => null)) ?? {}) as Problem;
  const fields = (problem.errors ?? []).map((error) => `${error.field} ${error.message}`).join('; ');
  const said = fields || problem.detail || problem.title || `${response.status} for ${url}`;
  const { scope } = problem;
  const message = scope && !said.includes(scope) ? `${said} (needs the scope "${scope}")` : said;
  return new RequestError(response.status, problem, message, Number(response.headers.get('Retry-After')) || null);
}

export function eventSource(withCredentials: boolean): OpenSource {
  return (url, heard, failed) => {
    const source = new EventSource(url, { withCredentials });
    source.onmessage = heard;
    source.onerror = failed;
    return () => source.close();
  };
}

export async function getJson(url: string, init: RequestInit): Promise<{ body: unknown; cursor: Cursor | null }> {
  const response = await fetch(url, { ...init, headers: { Accept: 'application/json', ...init.headers } });
  if (!response.ok) throw await refusalOf(response, url);
  const body: unknown = await response.json().catch(() => null);
  return { body, cursor: parseCursor(response.headers.get('Last-Event-ID')) };
}

/** The browser itself. */
export const browser: Environment = {
  now: () => Date.now(),
  later(milliseconds, task) {
    const timer = setTimeout(task, milliseconds);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  openSource: eventSource(false),
  getJson: (url, signal) => getJson(url, { signal }),
  get locks() {
    return typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined);
  },
  openChannel:
    typeof BroadcastChannel === 'undefined'
      ? undefined
      : (name, heard) => {
          const channel = new BroadcastChannel(name);
          channel.onmessage = (event: MessageEvent<unknown>) => heard(event.data);
          return channel;
        },
  get hidden() {
    return document.hidden;
  },
  onReturn(task) {
    const shown = () => {
      if (!document.hidden) task();
    };
    window.addEventListener('online', task);
    document.addEventListener('visibilitychange', shown);
    return () => {
      window.removeEventListener('online', task);
      document.removeEventListener('visibilitychange', shown);
    };
  },
  onLeave(left, back) {
    window.addEventListener('pagehide', left);
    window.addEventListener('pageshow', back);
    return () => {
      window.removeEventListener('pagehide', left);
      window.removeEventListener('pageshow', back);
    };
  },
  nextFrame(task) {
    if (document.hidden) {
      const timer = setTimeout(task, 250);
      return () => clearTimeout(timer);
    }
    const frame = requestAnimationFrame(task);
    // Deliberate: a page that is hidden before the frame gets none; the timer ensures that the task runs.
    const timer = setTimeout(() => {
      cancelAnimationFrame(frame);
      task();
    }, 500);
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  },
};

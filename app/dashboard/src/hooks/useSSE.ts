/** useSSE: the messages of one endpoint, over the connection that all hooks and tabs share. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { attempt } from '../feed/listeners';
import { concerns, TOPICS, type Message, type Topic } from '../feed/protocol';
import { feedOf } from '../feed/shared';
import { useConnection } from './useConnection';

export interface SSEOptions {
  sessionId?: string | null;
  /** Alerts only: open or resolved ones. An alert that is resolved or reopened is delivered to both. */
  resolved?: boolean;
  onMessage?: (message: Message) => void;
  onError?: (error: Error) => void;
  onOpen?: () => void;
  onClose?: () => void;
  /** Reconnect after a loss; true by default. */
  autoReconnect?: boolean;
  /** About how long the third attempt waits, in milliseconds; the back-off scales with it. */
  reconnectInterval?: number;
}

export interface SSEResult {
  isConnected: boolean;
  error: Error | null;
  lastMessage: Message | null;
  connect: () => void;
  disconnect: () => void;
  reconnect: () => void;
}

/**
 * Subscribe to an endpoint: a topic ("alerts"), a path ("/api/sse/alerts", "/api/sse?topics=sessions,alerts") or an
 * address on another server. Starts now; for rows that exist already, use `useSessionsSSE` and its siblings.
 */
export function useSSE(endpoint: string, options: SSEOptions = {}): SSEResult {
  const { base, topics } = parseEndpoint(endpoint);
  const { sessionId = null, resolved, autoReconnect = true, reconnectInterval } = options;
  const feed = feedOf(base);
  const state = useConnection(base);
  const [wanted, setWanted] = useState(true);
  const [lastMessage, setLastMessage] = useState<Message | null>(null);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const key = topics.join();

  useEffect(() => {
    if (reconnectInterval !== undefined) feed.options.reconnectMs = reconnectInterval;
  }, [feed, reconnectInterval]);

  useEffect(() => {
    if (!wanted) return;
    const take = (message: Message) => {
      setLastMessage(message);
      latest.current.onMessage?.(message);
    };
    const reader = feed.attach(key.split(',') as Topic[], sessionId, {
      change: (change) => {
        if (matchesResolved(change, resolved))
          take({ type: 'data', data: change, timestamp: new Date(change.timestamp * 1000).toISOString() });
      },
      reset: () => reader.ready(null),
      notice: take,
    });
    reader.ready(null);
    feed.declare(reader);
    return () => feed.detach(reader);
  }, [feed, key, sessionId, resolved, wanted]);

  const isConnected = wanted && state.status === 'live';
  useEffect(() => {
    if (!isConnected) return;
    // An exception in an effect would take the whole page down.
    attempt(() => latest.current.onOpen?.());
    return () => attempt(() => latest.current.onClose?.());
  }, [isConnected]);

  const failure = wanted ? state.error : null;
  useEffect(() => {
    if (failure !== null) attempt(() => latest.current.onError?.(new Error(failure)));
  }, [failure]);

  const lost = state.status === 'reconnecting' || state.status === 'signed-out';
  useEffect(() => {
    if (lost && !autoReconnect) setWanted(false);
  }, [lost, autoReconnect]);

  return {
    isConnected,
    error: failure === null ? null : new Error(failure),
    lastMessage,
    connect: useCallback(() => setWanted(true), []),
    disconnect: useCallback(() => setWanted(false), []),
    reconnect: useCallback(() => {
      setWanted(true);
      feed.retry();
    }, [feed]),
  };
}

function matchesResolved(change: Parameters<typeof concerns>[0], resolved: boolean | undefined): boolean {
  if (resolved === undefined || change.topic !== 'alerts') return true;
  return change.data.is_resolved === resolved || change.old_data?.is_resolved === resolved;
}

/** The server and the topics of an endpoint. */
export function parseEndpoint(endpoint: string): { base: string; topics: Topic[] } {
  const [path = '', query = ''] = endpoint.split('?');
  const asked = new URLSearchParams(query).get('topics') ?? path.split('/').at(-1) ?? '';
  const topics = TOPICS.filter((topic) => asked.split(',').includes(topic));
  if (topics.length === 0) throw new Error(`useSSE: ${endpoint} names no topic; the topics are ${TOPICS.join(', ')}`);
  const at = path.indexOf('/api/sse');
  return { base: at > 0 ? path.slice(0, at) : '', topics };
}

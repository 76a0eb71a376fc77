/** React's side of access: who is signed in, and what they may do. */
import { useMemo, useSyncExternalStore } from 'react';
import { UNKNOWN, type Me, type Role, type Scope } from '../feed/access';
import type { Reason } from '../feed/refusal';
import { accessOf } from '../feed/shared';

export interface AccessResult {
  /** By what: a login, a key, the machine itself, or nothing, where no users exist. Null until the server has said. */
  access: Me['access'] | null;
  name: string | null;
  role: Role | null;
  scopes: readonly Scope[];
  /** True until the server has said, whatever it says. */
  loading: boolean;
  /** Why the server could not say; it is asked again. */
  error: Error | null;
  /** Why nobody is signed in. */
  signedOut: Reason | null;
  may: (scope: Scope) => boolean;
  reload: () => void;
}

/** Who is signed in at a server; "" is this page's own. */
export function useAccess(base = ''): AccessResult {
  const store = accessOf(base);
  const { me, signedOut, error } = useSyncExternalStore(store.subscribe, store.get, () => UNKNOWN);
  return useMemo(() => {
    const scopes = me?.scopes ?? [];
    return {
      access: me?.access ?? null,
      name: me?.name ?? null,
      role: me?.role ?? null,
      scopes,
      loading: me === null && signedOut === null,
      error,
      signedOut,
      may: (scope: Scope) => scopes.includes(scope),
      reload: store.reload,
    };
  }, [store, me, signedOut, error]);
}

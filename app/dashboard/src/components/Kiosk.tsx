/** Kiosk: a screen that only shows. On it nothing leads elsewhere and nothing can be written, no matter who is signed in. */
import { createContext, useContext, type ReactNode } from 'react';
import type { Scope } from '../feed/access';
import { at } from '../feed/mount';
import { useAccess } from '../hooks/useAccess';
import { follow } from '../router';

export const Kiosk = createContext(false);

/** Whether a control that takes this scope is to be shown. The server decides again. */
export function useMay(): (scope: Scope) => boolean {
  const { may } = useAccess();
  return useContext(Kiosk) ? () => false : may;
}

/** A link to a page of the dashboard. */
export function Link({ to, children }: { to: string; children: ReactNode }) {
  if (useContext(Kiosk)) return <a>{children}</a>;
  return (
    <a href={at(to)} onClick={follow}>
      {children}
    </a>
  );
}

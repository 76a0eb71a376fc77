/** Reads a cut list again once it has lost half of its rows: those that were left out can be shown then. */
import { useEffect } from 'react';
import type { List } from '../feed/list';

export function useRefill(list: List<unknown> | null, limit: number, reload: () => void): void {
  const thin = list !== null && list.floor !== null && list.rows.length < limit / 2;
  useEffect(() => {
    if (thin) reload();
  }, [thin, reload]);
}

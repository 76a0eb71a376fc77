/** A write in progress: its state, and a toast if it fails. */
import { useState } from 'react';
import { toastError } from '../browser/toasts';

/** `run` performs a write and resolves to whether it worked; `busy` is true meanwhile. */
export function useSend(): { busy: boolean; run: (task: () => Promise<unknown>) => Promise<boolean> } {
  const [busy, setBusy] = useState(false);
  const run = async (task: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await task();
      return true;
    } catch (error) {
      toastError(error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, run };
}

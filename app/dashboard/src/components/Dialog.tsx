/**
 * A native dialog, so the browser keeps the focus inside and closes it on Escape. It closes once what it asks for is
 * done, and says here why it was refused: a toast would lie behind it.
 */
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { reasonOf } from '../browser/toasts';
import { useWords } from '../i18n/language';

export function Dialog({
  title,
  action,
  danger = false,
  onSubmit,
  onClose,
  children,
}: {
  title: string;
  action: string;
  danger?: boolean;
  onSubmit: (form: FormData) => Promise<unknown> | void;
  onClose: () => void;
  children?: ReactNode;
}) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const [state, setState] = useState<'busy' | { reason: string } | null>(null);
  useModal(() => dialog.current?.showModal());
  const submit = async (form: FormData) => {
    setState('busy');
    try {
      await onSubmit(form);
      onClose();
    } catch (error) {
      setState({ reason: reasonOf(error) });
    }
  };
  return (
    <dialog ref={dialog} className="dialog" aria-label={title} onClose={onClose}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        <h2>{title}</h2>
        {children}
        {state && state !== 'busy' && (
          <p className="failed" role="alert">
            {state.reason}
          </p>
        )}
        <footer>
          <button type="button" onClick={onClose}>
            {t('Cancel')}
          </button>
          <button type="submit" className={danger ? 'danger' : 'primary'} disabled={state === 'busy'}>
            {action}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

/** Open a dialog over the page. Once it is gone, the focus is back where it was. */
export function useModal(open: () => void): void {
  useEffect(() => {
    const before = document.activeElement;
    open();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
}

export function Field({ label, children }: { label: string; children: ReactNode }) {
  return (
    <label className="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

/** A native dialog, so the browser keeps the focus inside and closes it on Escape. */
import { useEffect, useRef, type ReactNode } from 'react';
import { useWords } from '../i18n/language';

export function Dialog({
  title,
  action,
  danger = false,
  busy = false,
  onSubmit,
  onClose,
  children,
}: {
  title: string;
  action: string;
  danger?: boolean;
  busy?: boolean;
  onSubmit: (form: FormData) => void;
  onClose: () => void;
  children?: ReactNode;
}) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="dialog" aria-label={title} onClose={onClose}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit(new FormData(event.currentTarget));
        }}
      >
        <h2>{title}</h2>
        {children}
        <footer>
          <button type="button" onClick={onClose}>
            {t('Cancel')}
          </button>
          <button type="submit" className={danger ? 'danger' : 'primary'} disabled={busy}>
            {action}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

export function Field({ label, children }: { label: string; children: ReactNode }) {
  return (
    <label className="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

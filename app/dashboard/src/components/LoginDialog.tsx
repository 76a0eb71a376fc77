/** Asks to sign in again over a page whose access has ended. It cannot be closed; the page goes on behind it afterwards. */
import { useRef } from 'react';
import type { Reason } from '../feed/refusal';
import { useAccess } from '../hooks/useAccess';
import { useWords } from '../i18n/language';
import { useModal } from './Dialog';
import { LoginForm } from './LoginForm';
import '../style/parts.css';
import '../style/access.css';

export function LoginDialog({ username, reason }: { username: string; reason: Reason | null }) {
  const { t } = useWords();
  const { reload } = useAccess();
  const dialog = useRef<HTMLDialogElement>(null);
  const open = () => {
    if (!dialog.current?.isConnected || dialog.current.open) return;
    dialog.current.showModal();
    dialog.current.querySelector<HTMLInputElement>(username ? '[name=password]' : '[name=username]')?.focus();
  };
  useModal(open);
  return (
    <dialog
      ref={dialog}
      className="dialog ended"
      aria-labelledby="ended"
      onCancel={(event) => event.preventDefault()}
      onClose={open}
    >
      <h2 id="ended">{t(reason === 'login_required' ? 'You are signed out' : 'Your access has ended')}</h2>
      <p>{t('Sign in again, and this page goes on where it was.')}</p>
      <LoginForm username={username} onEntered={reload} />
    </dialog>
  );
}

/** Login: who are you? It leads back to where one was, as its query says. */
import { useEffect } from 'react';
import { Alone } from '../components/Alone';
import { LoginForm } from '../components/LoginForm';
import { useAccess } from '../hooks/useAccess';
import { useWords } from '../i18n/language';
import { go, useAddress } from '../router';

export function LoginPage() {
  const { t } = useWords();
  const { access, signedOut } = useAccess();
  const next = within(useAddress().searchParams.get('next'));
  useEffect(() => {
    if (access !== null) go(next, true);
  }, [access, next]);
  return (
    <Alone title={t('Sign in')}>
      {signedOut === 'setup_required' ? (
        <p>
          {t('Nobody can sign in yet. Open the link that the server has printed at its start, or run on the server')}{' '}
          <code>./run flask user add NAME --role admin</code>
        </p>
      ) : (
        <>
          {signedOut === 'access_ended' && <p>{t('Your access has ended')}.</p>}
          <LoginForm next={next} />
        </>
      )}
    </Alone>
  );
}

/** A path of ours; nobody is sent elsewhere by a link to this page. */
export function within(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) && !/^\/login\b/.test(next) ? next : '/';
}

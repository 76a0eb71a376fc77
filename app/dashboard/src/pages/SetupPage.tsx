/** Set up: the first admin, by who has the link that the server has printed. */
import { useEffect, useState } from 'react';
import { setup } from '../api/access';
import { RequestError } from '../feed/environment';
import { Alone } from '../components/Alone';
import { Field } from '../components/Dialog';
import { Link } from '../components/Kiosk';
import { Password } from '../components/Password';
import { useAccess } from '../hooks/useAccess';
import { useWords } from '../i18n/language';
import { sentenceOf } from '../i18n/refusals';
import { go, useSecret } from '../router';

export function SetupPage() {
  const words = useWords();
  const { t } = words;
  const secret = useSecret();
  const { access } = useAccess();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    if (access === 'user') go('/', true);
  }, [access]);
  const submit = async (form: FormData) => {
    setBusy(true);
    setError(null);
    try {
      await setup({
        token: secret || String(form.get('token')).trim(),
        username: String(form.get('username')).trim(),
        password: String(form.get('password')),
      });
      go('/', true);
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };
  const late = error instanceof RequestError && error.status === 409;
  return (
    <Alone title={t('Set up the first admin')}>
      <p>{t('From then on, everyone signs in. The admin adds the others.')}</p>
      <form
        className="login-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        {!secret && (
          <Field label={t('Token, from the link that the server has printed')}>
            <input name="token" autoComplete="off" spellCheck={false} required />
          </Field>
        )}
        <Field label={t('User name')}>
          <input name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required autoFocus />
        </Field>
        <Password name="password" label={t('Password')} isNew />
        {error !== null && (
          <p className="failed" role="alert">
            <span>
              {sentenceOf(error, words, {
                403: 'This link is not valid any more. Open the one that the server has printed last.',
                409: 'Somebody has set this up already.',
              })}{' '}
              {late && <Link to="/login">{t('Sign in')}</Link>}
            </span>
          </p>
        )}
        <button type="submit" className="primary" disabled={busy}>
          {t('Make the admin')}
        </button>
      </form>
    </Alone>
  );
}

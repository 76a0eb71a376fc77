/** The form to sign in, on its page and over a page whose access has ended. */
import { useState } from 'react';
import { login } from '../api/access';
import { RequestError } from '../feed/environment';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { sentenceOf } from '../i18n/refusals';
import { Field } from './Dialog';
import { OtherLogin } from './OtherLogin';
import { Password } from './Password';

interface Props {
  username?: string;
  /** Where to go afterwards, if the login leaves this page; here, without it. */
  next?: string;
  onEntered?: () => void;
}

export function LoginForm({ username = '', next, onEntered }: Props) {
  const words = useWords();
  const { t, number } = words;
  const now = useNow();
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<{ error: unknown; wait: number; until: number } | null>(null);
  const left = failure && failure.until > now ? Math.min(failure.wait, Math.ceil((failure.until - now) / 1000)) : 0;
  const waited = failure !== null && failure.until > 0 && left === 0;
  const submit = async (form: FormData) => {
    setBusy(true);
    setFailure(null);
    try {
      await login({ username: String(form.get('username')).trim(), password: String(form.get('password')) });
      onEntered?.();
    } catch (error) {
      const wait = error instanceof RequestError && error.status === 429 ? (error.retryAfter ?? 1) : 0;
      setFailure({ error, wait, until: wait && Date.now() + wait * 1000 });
      setBusy(false);
    }
  };
  return (
    <form
      className="login-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (left === 0) void submit(new FormData(event.currentTarget));
      }}
    >
      <Field label={t('User name')}>
        <input
          name="username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          defaultValue={username}
          autoFocus={username === ''}
        />
      </Field>
      <Password name="password" label={t('Password')} autoFocus={username !== ''} />
      {failure && !waited && (
        <p className="failed" role="alert">
          {sentenceOf(failure.error, words, { 401: 'The user name or the password is wrong.' })}
        </p>
      )}
      <button type="submit" className="primary" disabled={busy || left > 0}>
        {t('Sign in')}
        {left > 0 && ` (${t('{n} s', { n: number(left) })})`}
      </button>
      <OtherLogin next={next} />
    </form>
  );
}

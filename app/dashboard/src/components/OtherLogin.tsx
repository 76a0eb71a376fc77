/** The way to sign in where the house keeps its accounts, if the server knows such a place. */
import { useEffect, useState } from 'react';
import { me } from '../api/access';
import { RequestError } from '../feed/environment';
import { at, pathOf } from '../feed/mount';
import { useWords } from '../i18n/language';

export function OtherLogin({ next }: { next?: string | undefined }) {
  const { t } = useWords();
  const [known, setKnown] = useState(false);
  useEffect(() => {
    let here = true;
    me().catch((error: unknown) => {
      const problem = error instanceof RequestError ? (error.problem as { oidc?: boolean } | null) : null;
      if (here && problem?.oidc === true) setKnown(true);
    });
    return () => {
      here = false;
    };
  }, []);
  if (!known) return null;
  const back = next ?? pathOf(location.pathname) + location.search + location.hash;
  return (
    <p>
      <a href={at(`/api/login/oidc?next=${encodeURIComponent(back)}`)}>
        {t('Sign in with your organization’s account')}
      </a>
    </p>
  );
}

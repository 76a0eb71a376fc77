/** Said where no user exists: who may use the feed, and how that ends. */
import { useWords } from '../i18n/language';

export function OpenToAll() {
  const { t } = useWords();
  return (
    <>
      {t('The feed is open to everyone on this machine. To ask for a password, run')}{' '}
      <code>./run flask user add NAME --role admin</code>
    </>
  );
}

/** Not found: what an unknown address shows. */
import { Empty } from '../components/Panel';
import { useWords } from '../i18n/language';
import { at } from '../feed/mount';
import { follow } from '../router';

export function NotFoundPage() {
  const { t } = useWords();
  return (
    <Empty icon="search">
      <h1>{t('Page not found')}</h1>
      <p>
        {t('The address may have been mistyped.')}{' '}
        <a href={at('/')} onClick={follow}>
          {t('Dashboard')}
        </a>
      </p>
    </Empty>
  );
}

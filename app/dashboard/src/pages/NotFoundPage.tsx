import { Empty } from '../parts/Panel';
import { useWords } from '../i18n/language';
import { follow } from '../router';

/** For addresses that lead nowhere. */
export function NotFoundPage() {
  const { t } = useWords();
  return (
    <Empty icon="search">
      <h1>{t('notFound.title')}</h1>
      <p>{t('notFound.text')} <a href="/" onClick={follow}>{t('nav.dashboard')}</a></p>
    </Empty>
  );
}

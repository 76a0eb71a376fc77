/** Unloaded: what is shown where a page's own code could not be loaded. Its code is part of the first file. */
import { Empty } from '../components/Panel';
import { useWords } from '../i18n/language';

export function UnloadedPage() {
  const { t } = useWords();
  return (
    <Empty icon="alerts">
      <h1>{t('This page could not be loaded')}</h1>
      <p role="alert">{t('The dashboard was updated, or the server is away.')}</p>
      <button type="button" className="primary" onClick={() => location.reload()}>
        {t('Reload')}
      </button>
    </Empty>
  );
}

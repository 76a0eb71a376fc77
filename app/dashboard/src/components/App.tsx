/** The app: the page of the address within the shell, and what runs beside every page. */
import { useEffect } from 'react';
import { watchAlerts } from '../browser/alarm';
import { measureLatency } from '../browser/latency';
import { useWords } from '../i18n/language';
import { PAGE } from '../i18n/names';
import { nameOf, pageOf } from '../pages/loaders';
import { UnloadedPage } from '../pages/UnloadedPage';
import { useAddress, useLoading } from '../router';
import { Loading } from './Panel';
import { Shell } from './Shell';

export function App() {
  const { t } = useWords();
  const { name, id } = nameOf(useAddress());
  const loading = useLoading();
  useEffect(measureLatency, []);
  useEffect(watchAlerts, []);
  useEffect(() => {
    document.title = name === 'unknown' ? t('People counting') : `${t(PAGE[name])} · ${t('People counting')}`;
  }, [name, t]);
  const Page = pageOf(name);
  return (
    <Shell page={name} loading={loading}>
      {Page ? <Page key={id} id={id} /> : loading ? <Loading lines={8} /> : <UnloadedPage />}
    </Shell>
  );
}

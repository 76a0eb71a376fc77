/** The dashboard's entry: renders the shell and the page that the address names. */
import { StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { watchAlerts } from './browser/alarm';
import { measureLatency } from './browser/latency';
import { mountBelow, pathOf } from './feed/mount';
import { useWords } from './i18n/language';
import { AlertsPage } from './pages/AlertsPage';
import { DashboardPage } from './pages/DashboardPage';
import { LivePage } from './pages/LivePage';
import { NotFoundPage } from './pages/NotFoundPage';
import { SessionPage } from './pages/SessionPage';
import { SessionsPage } from './pages/SessionsPage';
import { SystemPage } from './pages/SystemPage';
import { Shell, type PageName } from './components/Shell';
import { useAddress } from './router';
import './style/base.css';
import './style/shell.css';
import './style/components.css';
import './style/pages.css';
import { PAGE } from './i18n/names';

const SESSION = /^\/sessions\/([0-9a-f-]{36})$/;

function App() {
  const { t } = useWords();
  const pathname = pathOf(useAddress().pathname);
  const session = SESSION.exec(pathname)?.[1];
  const page = pageOf(pathname);
  useEffect(measureLatency, []);
  useEffect(watchAlerts, []);
  useEffect(() => {
    document.title = page ? `${t(PAGE[page])} · ${t('People counting')}` : t('People counting');
  }, [page, t]);
  return <Shell page={page}>{content()}</Shell>;

  function content() {
    if (session) return <SessionPage key={session} id={session} />;
    switch (page) {
      case 'dashboard':
        return <DashboardPage />;
      case 'live':
        return <LivePage />;
      case 'sessions':
        return <SessionsPage />;
      case 'alerts':
        return <AlertsPage />;
      case 'system':
        return <SystemPage />;
      default:
        return <NotFoundPage />;
    }
  }
}

function pageOf(path: string): PageName | null {
  if (path === '/') return 'dashboard';
  if (SESSION.test(path)) return 'sessions';
  return (['live', 'sessions', 'alerts', 'system'] as const).find((name) => path === `/${name}`) ?? null;
}

// The page names this file below the prefix, as /people/assets/index-….js: so one build serves every prefix.
mountBelow(new URL(import.meta.url).pathname.replace(/(\/[^/]*){2}$/, ''));

const root = document.getElementById('root');
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );

/** The shell around every page: navigation, connection, clock, theme and language. */
import type { ReactNode } from 'react';
import { changeSettings, useSettings, type Theme } from '../browser/settings';
import { useStats } from '../hooks/useStats';
import { useNow } from '../hooks/useNow';
import { setLanguage, useWords } from '../i18n/language';
import { at } from '../feed/mount';
import type { PageName } from '../pages/loaders';
import { follow, foresee } from '../router';
import { Connection } from './Connection';
import { Icon, type IconName } from './Icon';
import { Toasts } from './Toasts';
import { Total } from './Total';
import { PAGE, THEME } from '../i18n/names';

const PAGES: readonly { name: IconName & PageName; path: string }[] = [
  { name: 'dashboard', path: '/' },
  { name: 'live', path: '/live' },
  { name: 'sessions', path: '/sessions' },
  { name: 'alerts', path: '/alerts' },
  { name: 'system', path: '/system' },
];
const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };
const THEME_ICON: Readonly<Record<Theme, IconName>> = { system: 'auto', light: 'sun', dark: 'moon' };

export function Shell({
  page,
  loading = false,
  children,
}: {
  page: PageName;
  /** Whether another page is on its way. */
  loading?: boolean;
  children: ReactNode;
}) {
  const { t, language, time } = useWords();
  const { theme } = useSettings();
  const { totals, fresh } = useStats();
  const calm = fresh && totals?.now.open_alerts === 0;
  const now = useNow();
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t('Skip to content')}
      </a>
      <header className="topbar">
        <a className="brand" href={at('/')} onClick={follow} aria-label={t('People counting')}>
          <Mark />
          <span>{t('People counting')}</span>
        </a>
        <Connection />
        <time className="clock">{time(now, true)}</time>
        <button
          type="button"
          className="icon-button"
          title={t(THEME[theme])}
          aria-label={t(THEME[theme])}
          onClick={() => changeSettings({ theme: NEXT_THEME[theme] })}
        >
          <Icon name={THEME_ICON[theme]} />
        </button>
        <button
          type="button"
          className="icon-button"
          lang={language === 'en' ? 'vi' : 'en'}
          aria-label={`${language === 'en' ? 'VI' : 'EN'}: ${t('Chuyển sang tiếng Việt')}`}
          onClick={() => setLanguage(language === 'en' ? 'vi' : 'en')}
        >
          {language === 'en' ? 'VI' : 'EN'}
        </button>
      </header>
      <nav className="nav" aria-label={t('Pages')}>
        {PAGES.map(({ name, path }) => (
          <a
            key={name}
            href={at(path)}
            onClick={follow}
            onPointerEnter={foresee}
            onFocus={foresee}
            aria-current={name === (page === 'session' ? 'sessions' : page) ? 'page' : undefined}
          >
            <Icon name={name} />
            <span>{t(PAGE[name])}</span>
            {name === 'alerts' && !calm && <Total of={({ now }) => now.open_alerts} className="count" />}
          </a>
        ))}
      </nav>
      <main id="content" className="content" tabIndex={-1} aria-busy={loading}>
        {children}
      </main>
      <Toasts />
    </div>
  );
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path className="mark-in" d="M4 11h14M13 6l5 5-5 5" />
      <path className="mark-out" d="M28 21H14M19 16l-5 5 5 5" />
    </svg>
  );
}

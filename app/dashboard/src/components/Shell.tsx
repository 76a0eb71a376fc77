/** The shell around every page: navigation, connection, clock, who is signed in, theme and language. */
import type { ReactNode } from 'react';
import { useAccess } from '../hooks/useAccess';
import { useAsOf, useStats } from '../hooks/useStats';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { waitingOf } from '../feed/attention';
import { at } from '../feed/mount';
import type { PageName } from '../pages/pageName';
import { asLeft, follow, foresee } from '../router';
import { Connection } from './Connection';
import { Icon, type IconName } from './Icon';
import { Preferences } from './Preferences';
import { Toasts } from './Toasts';
import { PAGE, ROLE } from '../i18n/names';

const PAGES: readonly { name: IconName & PageName; path: string }[] = [
  { name: 'dashboard', path: '/' },
  { name: 'live', path: '/live' },
  { name: 'sessions', path: '/sessions' },
  { name: 'alerts', path: '/alerts' },
  { name: 'system', path: '/system' },
  { name: 'admin', path: '/admin' },
];
export function Shell({
  page,
  loading = false,
  ready = true,
  onSignOut,
  children,
}: {
  page: PageName;
  /** Whether another page is on its way. */
  loading?: boolean;
  /** Whether the server may be asked for data: it is known who is signed in. */
  ready?: boolean;
  onSignOut?: () => void;
  children: ReactNode;
}) {
  const { t } = useWords();
  const { access, may } = useAccess();
  const pages = PAGES.filter(({ name }) => name !== 'admin' || (access !== 'open' && may('admin')));
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
        <Toasts />
        {ready && <Connection />}
        <Clock />
        <Preferences />
        <Account onSignOut={onSignOut} />
      </header>
      <nav className="nav" aria-label={t('Pages')}>
        {pages.map(({ name, path }) => (
          <a
            key={name}
            href={asLeft(path)}
            onClick={follow}
            onPointerEnter={foresee}
            onFocus={foresee}
            aria-current={name === (page === 'session' ? 'sessions' : page) ? 'page' : undefined}
          >
            <Icon name={name} />
            <span>{t(PAGE[name])}</span>
            {name === 'alerts' && ready && <WaitingAlerts />}
          </a>
        ))}
      </nav>
      <main id="content" className="content" tabIndex={-1} aria-busy={loading}>
        {children}
      </main>
    </div>
  );
}

function Clock() {
  const { time, zone } = useWords();
  const now = useNow();
  return (
    <time className="clock" title={Intl.DateTimeFormat().resolvedOptions().timeZone}>
      {time(now, true)} <span>{zone(now)}</span>
    </time>
  );
}

function WaitingAlerts() {
  const { t, number } = useWords();
  const { totals, fresh } = useStats();
  const asOf = useAsOf();
  const waiting = totals && waitingOf(totals);
  if (fresh && waiting === 0) return null;
  return (
    <span className={fresh ? 'count' : 'count stale'} title={asOf ?? t('Alerts waiting')}>
      {waiting === null ? '–' : number(waiting)}
    </span>
  );
}

/** Who is signed in; nothing where nobody needs to be. */
function Account({ onSignOut }: { onSignOut: (() => void) | undefined }) {
  const { t } = useWords();
  const { access, name, role } = useAccess();
  if (access !== 'user' && access !== 'key') return null;
  const what = role ? t(ROLE[role]) : t('Key');
  return (
    <div className="account" role="group" aria-label={t('Account')}>
      <a
        href={at('/account')}
        onClick={follow}
        onPointerEnter={foresee}
        onFocus={foresee}
        title={`${name ?? ''}, ${what}`}
      >
        <Icon name="person" />
        <span className="unseen">{t('Account')}:</span>
        <span>{name}</span>
        <span className="quiet">{what}</span>
      </a>
      <button
        type="button"
        className="icon-button"
        title={t('Sign out')}
        aria-label={t('Sign out')}
        onClick={() => onSignOut?.()}
      >
        <Icon name="leave" />
      </button>
    </div>
  );
}

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path className="mark-in" d="M4 11h14M13 6l5 5-5 5" />
      <path className="mark-out" d="M28 21H14M19 16l-5 5 5 5" />
    </svg>
  );
}

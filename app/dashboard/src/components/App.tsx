/**
 * The app: the page of the address within the shell, and what runs beside every page.
 *
 * Invariant: nothing is asked of the server before it has said who is signed in. Where nobody is, the login page comes
 * first and leads back; a page whose access ends stays, below a login form, and goes on where it was.
 */
import { useEffect, useRef, useState } from 'react';
import { measureLatency } from '../browser/latency';
import { changeTitle } from '../browser/title';
import { toastError } from '../browser/toasts';
import { waitingOf } from '../feed/attention';
import { report } from '../feed/listeners';
import { at, pathOf } from '../feed/mount';
import { useAccess } from '../hooks/useAccess';
import { useConnection } from '../hooks/useConnection';
import { useStats } from '../hooks/useStats';
import { useWords } from '../i18n/language';
import { PAGE } from '../i18n/names';
import { nameOf, pageOf } from '../pages/loaders';
import type { PageName } from '../pages/pageName';
import { UnloadedPage } from '../pages/UnloadedPage';
import { go, useAddress, useLoading } from '../router';
import { Loading } from './Panel';
import { part } from './part';
import { Shell } from './Shell';

/** Pages that stand alone, and take nobody to be signed in. */
const ALONE: readonly PageName[] = ['login', 'setup', 'kiosk'];

const LoginDialog = part(() => import('./LoginDialog').then((file) => file.LoginDialog));

export function App() {
  const { t } = useWords();
  const { name, id } = nameOf(useAddress());
  const loading = useLoading();
  const { access, name: user, signedOut, error } = useAccess();
  const alone = ALONE.includes(name);
  const [leaving, setLeaving] = useState(false);
  const last = useRef<string | null | undefined>(undefined);
  const ended = last.current !== undefined && signedOut !== null;

  useEffect(() => {
    // A session's page says the session's name itself.
    if (name === 'session') return;
    changeTitle({ page: name === 'unknown' ? t('People counting') : `${t(PAGE[name])} · ${t('People counting')}` });
  }, [name, t]);
  useEffect(() => {
    if (access === null) return;
    // What the page holds was read for somebody else.
    if (!alone && last.current && last.current !== user) location.reload();
    last.current = user;
  }, [access, user, alone]);
  useEffect(() => {
    if (signedOut === null || alone || last.current !== undefined) return;
    const next = pathOf(location.pathname) + location.search + location.hash;
    go(next === '/' ? '/login' : `/login?next=${encodeURIComponent(next)}`, true);
  }, [signedOut, alone]);

  const Page = pageOf(name);
  const content = Page ? <Page key={id} id={id} /> : loading ? <Loading lines={8} /> : <UnloadedPage />;
  if (alone) return Page ? content : <main className="alone">{content}</main>;
  const ready = access !== null || error !== null || ended;
  return (
    <>
      <Shell page={name} loading={loading} ready={ready} onSignOut={() => void signOut()}>
        {ready ? content : <Loading lines={8} />}
        {ready && <Beside />}
      </Shell>
      {ended && !leaving && <LoginDialog username={last.current ?? ''} reason={signedOut} />}
    </>
  );

  /** Loads the page again, so that nothing of what was read stays in this tab. */
  async function signOut(): Promise<void> {
    setLeaving(true);
    try {
      await (await import('../api/access')).logout();
      location.assign(at('/login'));
    } catch (failure) {
      setLeaving(false);
      toastError(failure);
    }
  }
}

function Beside() {
  const { t } = useWords();
  const { totals, live } = useStats();
  const { status } = useConnection();
  const alerts = totals ? waitingOf(totals) : 0;
  const lost = !live && status === 'reconnecting';
  useEffect(() => changeTitle({ alerts, lost: lost ? t('Connection lost') : '' }), [alerts, lost, t]);
  useEffect(() => () => changeTitle({ alerts: 0, lost: '' }), []);
  useEffect(measureLatency, []);
  useEffect(() => {
    let stop = () => {};
    let left = false;
    // Not part of what the first page needs.
    import('../browser/alarm').then(({ watchAlerts }) => {
      if (!left) stop = watchAlerts();
    }, report);
    return () => {
      left = true;
      stop();
    };
  }, []);
  return null;
}

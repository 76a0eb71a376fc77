/**
 * Kiosk: the dashboard on a screen that nobody touches.
 *
 * Invariant: nothing here writes or leads elsewhere. The key of the link is kept in memory alone, to enter again as soon
 * as the server is back.
 */
import { useEffect, useState } from 'react';
import { login } from '../api/access';
import { RequestError } from '../feed/environment';
import { Connection } from '../components/Connection';
import { Kiosk } from '../components/Kiosk';
import { Empty, Loading } from '../components/Panel';
import { Mark } from '../components/Shell';
import { useAccess } from '../hooks/useAccess';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { sentenceOf } from '../i18n/refusals';
import { useSecret } from '../router';
import { DashboardPage } from './DashboardPage';
import '../style/parts.css';
import '../style/access.css';

const AGAIN_MS = 10_000;

export function KioskPage() {
  const { t, time } = useWords();
  const { access, signedOut, error } = useAccess();
  const now = useNow();
  const { entering, refusal } = useKey(useSecret(), signedOut !== null);
  useEffect(stayAwake, []);
  useEffect(() => {
    document.documentElement.dataset.kiosk = '';
    return () => {
      delete document.documentElement.dataset.kiosk;
    };
  }, []);
  const away = !entering && access === null && signedOut !== null;
  return (
    <Kiosk value={true}>
      <div className="kiosk">
        <header className="kiosk-head">
          <Mark />
          <span className="kiosk-brand">{t('People counting')}</span>
          {!entering && access !== null && <Connection />}
          <time className="clock">{time(now, true)}</time>
        </header>
        <main>
          {away || (entering && refusal) ? (
            <Away refusal={refusal} />
          ) : entering || (access === null && error === null) ? (
            <Loading lines={8} />
          ) : (
            <DashboardPage />
          )}
        </main>
      </div>
    </Kiosk>
  );
}

function Away({ refusal }: { refusal: unknown }) {
  const words = useWords();
  const { t } = words;
  return (
    <Empty icon="admin">
      <h1>{t('This screen may not show the counts')}</h1>
      <p role="status">
        {refusal === null
          ? t('Open the kiosk link of a key here. An admin makes one on the page “Access”.')
          : sentenceOf(refusal, words, {
              401: 'The key of this link has ended or was revoked. An admin makes another on the page “Access”.',
            })}
      </p>
    </Empty>
  );
}

/** Enter with the key of the link, at first and whenever the access has ended; again and again while it fails. */
function useKey(key: string, ended: boolean): { entering: boolean; refusal: unknown } {
  const [entered, setEntered] = useState('');
  const [refusal, setRefusal] = useState<unknown>(null);
  const entering = key !== '' && (entered !== key || ended);
  useEffect(() => {
    if (!entering) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const enter = () =>
      login({ key }).then(
        () => {
          if (stopped) return;
          setRefusal(null);
          setEntered(key);
        },
        (error: unknown) => {
          if (stopped) return;
          setRefusal(error);
          const wait = error instanceof RequestError ? (error.retryAfter ?? 0) * 1000 : 0;
          timer = setTimeout(() => void enter(), Math.max(AGAIN_MS, wait));
        },
      );
    void enter();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [key, entering]);
  return { entering, refusal };
}

/** Keep the screen lit where the browser can; it lets go whenever the page is hidden. */
function stayAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  let stopped = false;
  const ask = async () => {
    if (document.hidden || !('wakeLock' in navigator)) return;
    try {
      lock = await navigator.wakeLock.request('screen');
      if (stopped) await lock.release();
    } catch {
      // refused, as on a low battery: the screen does as it is set
    }
  };
  const shown = () => void ask();
  document.addEventListener('visibilitychange', shown);
  shown();
  return () => {
    stopped = true;
    document.removeEventListener('visibilitychange', shown);
    void lock?.release();
  };
}

/** The connection's state, always visible: live and with what latency, or lost and since when. */
import { useEffect, useState } from 'react';
import { behind, medianLatency } from '../browser/latency';
import { feedOf } from '../feed/shared';
import { useConnection } from '../hooks/useConnection';
import { useNow } from '../hooks/useNow';
import { useWords, type Words } from '../i18n/language';
import { CONNECTION } from '../i18n/names';

type Tone = 'good' | 'warn' | 'bad' | 'idle';

export function Connection() {
  const words = useWords();
  const state = useConnection();
  const now = useNow();
  const online = useOnline();
  const { tone, label, detail } = describe();
  return (
    <div className={`connection ${tone}`} role="status" title={tone === 'good' ? explain(words) : undefined}>
      <span className="dot" aria-hidden="true" />
      <span className="connection-label">{label}</span>
      {detail && (
        <span className="connection-detail" aria-hidden="true">
          {detail}
        </span>
      )}
      {state.status === 'reconnecting' && online && (
        <button type="button" className="link" onClick={() => feedOf().retry()}>
          {words.t('Try now')}
        </button>
      )}
    </div>
  );

  function describe(): { tone: Tone; label: string; detail: string } {
    const { t, span } = words;
    const since = t('Lost {time} ago', { time: span(Math.max(1000, now - state.since)) });
    if (!online) return { tone: 'bad', label: t('No network'), detail: since };
    // A page that needs more reopens its connection; that takes milliseconds and is not worth showing.
    if (state.status === 'connecting' && now - state.since < 2000)
      return { tone: 'idle', label: t('Live'), detail: '' };
    if (state.status === 'reconnecting') {
      const left = Math.max(1000, (state.retryAt ?? now) - now);
      return {
        tone: 'bad',
        label: t('Reconnecting'),
        detail: `${since}, ${t('next try in {time}', { time: span(left) })}`,
      };
    }
    if (state.status !== 'live') return { tone: 'warn', label: t(CONNECTION[state.status]), detail: '' };
    if (state.error === 'database_unavailable') return { tone: 'bad', label: t('Database unavailable'), detail: '' };
    const late = behind(Date.now());
    if (late !== null) return { tone: 'warn', label: t('Live'), detail: t('{time} behind', { time: span(late) }) };
    const latency = medianLatency();
    return { tone: 'good', label: t('Live'), detail: latency ? span(latency.median) : '' };
  }
}

function explain({ t, span }: Words): string | undefined {
  const latency = medianLatency();
  return latency
    ? t('Changes arrive as they are written, in {time}.', {
        time: span(latency.median),
      })
    : undefined;
}

function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener('online', look);
    addEventListener('offline', look);
    return () => {
      removeEventListener('online', look);
      removeEventListener('offline', look);
    };
  }, []);
  return online;
}

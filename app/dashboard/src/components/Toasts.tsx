/** Toasts in the top bar, where they cover nothing; read out by screen readers. */
import { useSyncExternalStore } from 'react';
import { dismiss, stacked, toastStore, type Toast } from '../browser/toasts';
import { useSessionNames } from '../hooks/useList';
import { useWords } from '../i18n/language';
import { at } from '../feed/mount';
import { follow } from '../router';
import { Icon } from './Icon';

export function Toasts() {
  const { t, number } = useWords();
  const toasts = useSyncExternalStore(toastStore.subscribe, toastStore.get);
  return (
    <div className="toasts" role="log" aria-live="assertive">
      {stacked(toasts).map(({ top, ids }) => {
        const { id, kind, title, text, href, sessionId, undo } = top;
        return (
          <div key={id} className={`toast ${kind}`}>
            <div title={text}>
              {sessionId !== undefined ? <Camera id={sessionId} /> : title && <strong>{title}</strong>}
              {href ? (
                <a href={at(href)} onClick={follow}>
                  {text}
                </a>
              ) : (
                <span>{text}</span>
              )}
            </div>
            {ids.length > 1 && <More kind={kind} count={`+${number(ids.length - 1)}`} />}
            {undo && (
              <button
                type="button"
                onClick={() => {
                  undo();
                  dismiss(id);
                }}
              >
                {t('Undo')}
              </button>
            )}
            <button
              type="button"
              className="icon-button"
              aria-label={`${t('Close')}: ${text}`}
              onClick={() => dismiss(...(undo ? [id] : ids))}
            >
              <Icon name="close" />
            </button>
          </div>
        );
      })}
    </div>
  );
}

function Camera({ id }: { id: string | null }) {
  const name = useSessionNames();
  return <strong>{name(id)}</strong>;
}

/** How many more there are; of alerts, the way to them. */
function More({ kind, count }: { kind: Toast['kind']; count: string }) {
  if (kind !== 'alert') return <span className="more-toasts">{count}</span>;
  return (
    <a className="more-toasts" href={at('/alerts')} onClick={follow}>
      {count}
    </a>
  );
}

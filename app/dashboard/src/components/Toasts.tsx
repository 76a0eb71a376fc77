/** Toasts in a corner, read out by screen readers. */
import { useSyncExternalStore } from 'react';
import { dismiss, toastStore } from '../browser/toasts';
import { useWords } from '../i18n/language';
import { at } from '../feed/mount';
import { follow } from '../router';
import { Icon } from './Icon';

export function Toasts() {
  const { t } = useWords();
  const toasts = useSyncExternalStore(toastStore.subscribe, toastStore.get);
  return (
    <div className="toasts" role="log" aria-live="assertive">
      {toasts.map(({ id, kind, title, text, href, undo }) => (
        <div key={id} className={`toast ${kind}`}>
          <div>
            {title && <strong>{title}</strong>}
            {href ? (
              <a href={at(href)} onClick={follow}>
                {text}
              </a>
            ) : (
              <span>{text}</span>
            )}
          </div>
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
          <button type="button" className="icon-button" aria-label={t('Close')} onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}

/** A titled region of a page, and what it shows when it is empty, loading or failed. */
import type { ReactNode } from 'react';
import { useWords } from '../i18n/language';
import { sentenceOf } from '../i18n/refusals';
import { Icon, type IconName } from './Icon';

export function Panel({
  title,
  side,
  className = '',
  children,
}: {
  title: string;
  side?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  return (
    <section className={`panel ${className}`} aria-label={title}>
      <header className="panel-head">
        <h2>{title}</h2>
        {side}
      </header>
      {children}
    </section>
  );
}

export function Empty({ icon, children }: { icon: IconName; children: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

/** Where nothing is listed: all clear if that is known; if not, grey bars while waiting for rows, and then a plain word. */
export function Calm({ known, waiting, children }: { known: boolean; waiting: boolean; children: ReactNode }) {
  const { t } = useWords();
  if (known) return <Empty icon="check">{children}</Empty>;
  return waiting ? <Loading lines={3} /> : <Empty icon="alerts">{t('Unknown until the server answers.')}</Empty>;
}

/** Grey bars where rows will appear. */
export function Loading({ lines = 4 }: { lines?: number }) {
  const { t } = useWords();
  return (
    <div className="skeleton" role="status" aria-label={t('Loading')}>
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { error: Error; retry?: () => void }) {
  const words = useWords();
  const { t } = words;
  return (
    <div className="failed" role="alert">
      <span>
        {sentenceOf(error, words)} {t('What you see may be out of date.')}
      </span>
      {retry && (
        <button type="button" onClick={retry}>
          {t('Try again')}
        </button>
      )}
    </div>
  );
}

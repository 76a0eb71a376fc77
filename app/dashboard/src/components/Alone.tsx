/** The frame of a page that stands alone: no navigation, one panel in the middle. */
import type { ReactNode } from 'react';
import { useWords } from '../i18n/language';
import { Preferences } from './Preferences';
import { Mark } from './Shell';
import { Toasts } from './Toasts';
import '../style/parts.css';
import '../style/access.css';

export function Alone({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useWords();
  return (
    <div className="alone">
      <header className="alone-head">
        <Preferences />
      </header>
      <main className="alone-panel">
        <p className="alone-brand">
          <Mark />
          {t('People counting')}
        </p>
        <h1>{title}</h1>
        {children}
      </main>
      <Toasts />
    </div>
  );
}

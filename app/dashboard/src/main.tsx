/** The dashboard's entry: renders the page that the address names. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './components/App';
import { report } from './feed/listeners';
import { mountBelow } from './feed/mount';
import { loadWords } from './i18n/language';
import { load } from './pages/loaders';
import { prepareWith } from './router';
import './style/base.css';
import './style/shell.css';
import './style/components.css';
import './style/dashboard.css';

// The page names this file below the prefix, as /people/assets/index-….js: so one build serves every prefix.
mountBelow(new URL(import.meta.url).pathname.replace(/(\/[^/]*){2}$/, ''));
prepareWith(load);

// Nothing is shown in another language first; where the words cannot be loaded, English is better than nothing.
void (loadWords(['shell']) ?? Promise.resolve()).catch(report).then(() => {
  const root = document.getElementById('root');
  if (root)
    createRoot(root).render(
      <StrictMode>
        <App />
      </StrictMode>,
    );
});

/** The dashboard's entry: renders the page that the address names. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './components/App';
import { mountBelow } from './feed/mount';
import { load } from './pages/loaders';
import { prepareWith } from './router';
import './style/base.css';
import './style/shell.css';
import './style/components.css';
import './style/pages.css';

// The page names this file below the prefix, as /people/assets/index-….js: so one build serves every prefix.
mountBelow(new URL(import.meta.url).pathname.replace(/(\/[^/]*){2}$/, ''));
prepareWith(load);

const root = document.getElementById('root');
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );

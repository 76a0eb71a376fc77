/** Signs: the icons of what one can do, which the first page does not need. */
import { Drawn } from './Icon';

const PATHS = {
  pause: 'M8 5v14M16 5v14',
  play: 'M7 5l12 7-12 7z',
  stop: 'M6 6h12v12H6z',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  plus: 'M12 5v14M5 12h14',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  download: 'M12 4v11M7 11l5 5 5-5M4 20h16',
  key: 'M15 4a5 5 0 1 1-3.6 8.5L4 20v-3h3v-3h2.4M16 8h.01',
  eye: 'M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7M12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
} as const;

export type SignName = keyof typeof PATHS;

export function Sign({ name }: { name: SignName }) {
  return <Drawn path={PATHS[name]} />;
}

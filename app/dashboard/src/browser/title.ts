/** Title: what the tab of the browser says while another is in front: the page, waiting alerts, a lost connection. */
import alertIcon from '../icons/alert.svg?url';
import lostIcon from '../icons/lost.svg?url';

export interface Title {
  page: string;
  /** Alerts that are waiting for somebody. */
  alerts: number;
  /** In words, if the connection is lost. */
  lost: string;
}

const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
const usual = icon?.href ?? '';
let title: Title = { page: '', alerts: 0, lost: '' };

export function changeTitle(change: Partial<Title>): void {
  title = { ...title, ...change };
  const { page, alerts, lost } = title;
  document.title = `${lost ? `${lost} · ` : alerts > 0 ? `(${alerts}) ` : ''}${page}`;
  const wanted = lost ? lostIcon : alerts > 0 ? alertIcon : usual;
  if (icon && icon.getAttribute('href') !== wanted) icon.setAttribute('href', wanted);
}

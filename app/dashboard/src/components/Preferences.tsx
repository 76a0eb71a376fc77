/** Preferences: colours and language, in the corner of every page. */
import { changeSettings, useSettings, type Theme } from '../browser/settings';
import { toastError } from '../browser/toasts';
import { setLanguage, useWords } from '../i18n/language';
import { THEME } from '../i18n/names';
import { Icon, type IconName } from './Icon';

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };
const THEME_ICON: Readonly<Record<Theme, IconName>> = { system: 'auto', light: 'sun', dark: 'moon' };

export function Preferences() {
  const { t, language } = useWords();
  const { theme } = useSettings();
  const other = language === 'en' ? 'vi' : 'en';
  return (
    <>
      <button
        type="button"
        className="icon-button"
        title={t(THEME[theme])}
        aria-label={t(THEME[theme])}
        onClick={() => changeSettings({ theme: NEXT_THEME[theme] })}
      >
        <Icon name={THEME_ICON[theme]} />
      </button>
      <button
        type="button"
        className="icon-button"
        lang={other}
        aria-label={`${other.toUpperCase()}: ${t('Chuyển sang tiếng Việt')}`}
        onClick={() => void setLanguage(other).catch(toastError)}
      >
        {other.toUpperCase()}
      </button>
    </>
  );
}

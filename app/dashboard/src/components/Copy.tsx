/** A text to be copied, with a button that does. */
import { useId, useRef, useState } from 'react';
import { useWords } from '../i18n/language';
import { Icon } from './Icon';
import { Sign } from './Sign';

export function Copy({ label, text }: { label: string; text: string }) {
  const { t } = useWords();
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    area.current?.select();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without HTTPS there is no clipboard but this one.
      if (!document.execCommand('copy')) return;
    }
    setCopied(true);
  };
  return (
    <div className="field copy">
      <label htmlFor={id}>{label}</label>
      <div>
        <textarea
          ref={area}
          id={id}
          readOnly
          spellCheck={false}
          rows={Math.min(4, Math.ceil(text.length / 58))}
          value={text}
          onFocus={(event) => event.target.select()}
        />
        <button type="button" aria-label={`${t('Copy')}: ${label}`} onClick={() => void copy()}>
          {copied ? <Icon name="check" /> : <Sign name="copy" />}
          <span role="status">{t(copied ? 'Copied' : 'Copy')}</span>
        </button>
      </div>
    </div>
  );
}

/** A field for a password, which one may look at. A new one says beforehand what it must be. */
import { useId, useState } from 'react';
import { useWords } from '../i18n/language';
import { Icon } from './Icon';
import { Sign } from './Sign';

const SHORTEST = 12;

export function Password({
  name,
  label,
  isNew = false,
  autoFocus = false,
}: {
  name: string;
  label: string;
  isNew?: boolean;
  autoFocus?: boolean;
}) {
  const { t } = useWords();
  const id = useId();
  const [shown, setShown] = useState(false);
  const [long, setLong] = useState(false);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="password">
        <input
          id={id}
          name={name}
          type={shown ? 'text' : 'password'}
          autoComplete={isNew ? 'new-password' : 'current-password'}
          autoCapitalize="none"
          spellCheck={false}
          required
          autoFocus={autoFocus}
          {...(isNew ? { 'minLength': SHORTEST, 'aria-describedby': `${id}-rules` } : {})}
          onChange={(event) => setLong(event.target.value.length >= SHORTEST)}
        />
        <button
          type="button"
          className="icon-button"
          aria-pressed={shown}
          aria-label={t('Show password')}
          title={t('Show password')}
          onClick={() => setShown(!shown)}
        >
          <Sign name="eye" />
        </button>
      </div>
      {isNew && (
        <small id={`${id}-rules`} className={long ? 'rules kept' : 'rules'}>
          <Icon name="check" />
          {t('At least {n} characters, and none of the commonest passwords. A few words do well.', { n: SHORTEST })}
        </small>
      )}
    </div>
  );
}

/** Chooses a range, and keeps it in the address: each choice is a step that "back" takes back. */
import { useState } from 'react';
import { Choice } from '../components/Choice';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { setQuery } from '../router';
import { hasWeekBefore, localText, PRESETS, type Chosen, type Range } from './range';
import type { RangeState } from './useRange';
import '../style/history.css';

const TEXT = {
  'live': 'Live',
  'session': 'The whole session',
  '1h': 'Last hour',
  'today': 'Today',
  'yesterday': 'Yesterday',
  '7d': '7 days',
  '30d': '30 days',
  '1y': 'A year',
  'own': 'From … to …',
} as const satisfies Record<Chosen, Key>;
const DAY = 86_400_000;

/** `unsaid` is what the page shows where its address says nothing. */
export function RangePicker({
  chosen,
  range,
  compare,
  unsaid,
  ofSession = false,
}: RangeState & { unsaid: 'live' | 'session'; ofSession?: boolean }) {
  const { t } = useWords();
  const [entering, setEntering] = useState(false);
  const open = entering || chosen === 'own';
  const options: readonly Chosen[] = ['live', ...(ofSession ? (['session'] as const) : []), ...PRESETS, 'own'];
  const choose = (value: Chosen) => {
    setEntering(value === 'own');
    if (value === 'own') return;
    const named = { range: value === unsaid ? '' : value, from: '', to: '' };
    setQuery(value === 'live' ? { ...named, compare: '' } : named, true);
  };
  return (
    <>
      <Choice
        label={t('Time')}
        value={open ? 'own' : chosen}
        onChange={choose}
        options={options.map((value) => ({ value, text: t(TEXT[value]) }))}
      />
      {open && (
        <Own
          key={chosen === 'own' ? location.search : ''}
          range={range ?? { from: Date.now() - DAY, to: Date.now() }}
          onShow={() => setEntering(false)}
        />
      )}
      {range && hasWeekBefore(range) && (
        <button type="button" aria-pressed={compare} onClick={() => setQuery({ compare: compare ? '' : 'week' }, true)}>
          {t('Compare with the week before')}
        </button>
      )}
    </>
  );
}

function Own({ range, onShow }: { range: Range; onShow: () => void }) {
  const { t } = useWords();
  const [wrong, setWrong] = useState(false);
  return (
    <form
      className="own-range"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const [from, to] = ['from', 'to'].map((name) => new Date(String(form.get(name)))) as [Date, Date];
        setWrong(!(from < to));
        if (!(from < to)) return;
        onShow();
        setQuery({ range: '', from: from.toISOString(), to: to.toISOString() }, true);
      }}
    >
      <label>
        {t('From')} <input name="from" type="datetime-local" required defaultValue={localText(range.from)} />
      </label>
      <label>
        {t('To')} <input name="to" type="datetime-local" required defaultValue={localText(range.to)} />
      </label>
      <button type="submit">{t('Show')}</button>
      {wrong && <span role="alert">{t('The end must be after the beginning.')}</span>}
    </form>
  );
}

/**
 * Session picker: which sessions are charted. A few are a row of chips; many are a list to search, grouped by name.
 *
 * Invariant: what is picked is listed first and can be taken away, whatever is searched for.
 */
import { useId, useState, type ReactNode } from 'react';
import type { Charted } from './SessionCharts';
import { useWords } from '../i18n/language';
import { Icon } from './Icon';

export interface Choosable {
  id: string;
  session_name: string;
}

/** More than these are a list. */
const CHIPS = 12;

export function SessionPicker({
  choosable,
  charted,
  most,
  onChange,
  children,
}: {
  choosable: readonly Choosable[];
  charted: readonly Charted[];
  /** As many can be picked at once. */
  most: number;
  onChange: (ids: readonly string[]) => void;
  children?: ReactNode;
}) {
  const { t, number } = useWords();
  const [open, setOpen] = useState(false);
  const list = useId();
  const ids = charted.map(({ id }) => id);
  const toggle = (id: string) => onChange(ids.includes(id) ? ids.filter((one) => one !== id) : [...ids, id]);
  const many = choosable.length > CHIPS;
  const chips = many
    ? charted
    : [
        ...choosable.map((row) => charted.find(({ id }) => id === row.id) ?? { id: row.id, name: row.session_name }),
        ...charted.filter(({ id }) => !choosable.some((row) => row.id === id)),
      ];
  return (
    <>
      <div className={many ? 'chips many' : 'chips'} role="group" aria-label={t('Sessions')}>
        {many && (
          <button type="button" aria-expanded={open} aria-controls={list} onClick={() => setOpen(!open)}>
            <Icon name="sessions" />
            {t('Choose sessions: {n} of {total}', { n: number(ids.length), total: number(choosable.length) })}
          </button>
        )}
        {chips.map((chip) => (
          <button
            key={chip.id}
            type="button"
            className="chip"
            title={chip.name}
            aria-pressed={ids.includes(chip.id)}
            disabled={!ids.includes(chip.id) && ids.length >= most}
            onClick={() => toggle(chip.id)}
          >
            <i style={'color' in chip ? { background: `var(${chip.color})` } : undefined} />
            <span>{chip.name}</span>
          </button>
        ))}
        {children}
      </div>
      {many && open && (
        <List id={list} choosable={choosable} ids={ids} most={most} onToggle={toggle} onChange={onChange} />
      )}
    </>
  );
}

function List({
  id,
  choosable,
  ids,
  most,
  onToggle,
  onChange,
}: {
  id: string;
  choosable: readonly Choosable[];
  ids: readonly string[];
  most: number;
  onToggle: (id: string) => void;
  onChange: (ids: readonly string[]) => void;
}) {
  const { t, number } = useWords();
  const [search, setSearch] = useState('');
  const wanted = search.trim().toLocaleLowerCase();
  const found = choosable.filter((row) => row.session_name.toLocaleLowerCase().includes(wanted));
  const full = ids.length >= most;
  return (
    <section id={id} className="panel picker" aria-label={t('Choose sessions')}>
      <div className="toolbar">
        <label className="search">
          <Icon name="search" />
          <input
            type="search"
            autoFocus
            placeholder={t('Search by name')}
            aria-label={t('Search by name')}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </label>
        <span className="quiet grow" role="status">
          {full ? t('At most {n} at a time.', { n: number(most) }) : t('{n} sessions', { n: number(found.length) })}
        </span>
        <button type="button" disabled={ids.length === 0} onClick={() => onChange([])}>
          {t('Choose none')}
        </button>
      </div>
      <div className="picker-groups">
        {[...grouped(found)].map(([name, rows]) => (
          <fieldset key={name}>
            <legend>
              {name || t('Others')}{' '}
              <button
                type="button"
                className="link"
                aria-label={`${t('Choose all')}: ${name || t('Others')}`}
                disabled={full || rows.every((row) => ids.includes(row.id))}
                onClick={() => onChange([...new Set([...ids, ...rows.map((row) => row.id)])].slice(0, most))}
              >
                {t('Choose all')}
              </button>
            </legend>
            {rows.map((row) => (
              <label key={row.id} title={row.session_name}>
                <input
                  type="checkbox"
                  checked={ids.includes(row.id)}
                  disabled={full && !ids.includes(row.id)}
                  onChange={() => onToggle(row.id)}
                />
                <span>{row.session_name}</span>
              </label>
            ))}
          </fieldset>
        ))}
        {found.length === 0 && <p className="quiet">{t('No sessions match.')}</p>}
      </div>
    </section>
  );
}

/** Sessions by what their names have in common: what stands before a separator, or before a number at the end. */
export function grouped(rows: readonly Choosable[]): ReadonlyMap<string, Choosable[]> {
  const groups = new Map<string, Choosable[]>();
  const inOrder = [...rows].sort((a, b) => a.session_name.localeCompare(b.session_name, undefined, { numeric: true }));
  const put = (name: string, row: Choosable) => groups.set(name, [...(groups.get(name) ?? []), row]);
  for (const row of inOrder) put(stemOf(row.session_name), row);
  const alone = [...groups].filter(([name, members]) => name === '' || members.length === 1);
  for (const [name] of alone) groups.delete(name);
  for (const row of alone.flatMap(([, members]) => members)) put('', row);
  return groups;
}

function stemOf(name: string): string {
  const [head, rest] = name.split(/\s*[/·:|]\s*|\s+[-–—]\s+/, 2);
  return ((rest ? head : /^(.*?)[\s#_.-]*\d+\s*$/.exec(name)?.[1]) ?? '').trim();
}

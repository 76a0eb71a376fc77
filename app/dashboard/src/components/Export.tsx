/** Export: the movements of a session, of the range that is shown, in the formats that the server knows. */
import { useRef } from 'react';
import { at } from '../feed/mount';
import type { Range } from '../history/range';
import { useWords } from '../i18n/language';
import { Sign } from './Sign';

/** `range` is null where all of the session is meant. */
export function Export({ id, range }: { id: string; range: Range | null }) {
  const { t } = useWords();
  const menu = useRef<HTMLDetailsElement>(null);
  const formats = [
    ['xlsx', t('Excel workbook (XLSX)')],
    ['csv-excel', t('CSV for Excel')],
    ['csv', 'CSV'],
    ['ndjson', 'NDJSON'],
  ] as const;
  const close = () => {
    if (menu.current) menu.current.open = false;
  };
  return (
    <details
      ref={menu}
      className="menu"
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) close();
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        close();
        menu.current?.querySelector('summary')?.focus();
      }}
    >
      <summary className="button">
        <Sign name="download" />
        {t('Export movements')}
      </summary>
      <ul>
        {formats.map(([format, text]) => (
          <li key={format}>
            <a href={at(exportPath(id, format, range))} download onClick={close}>
              {text}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Below the mount, the movements of a session; `to` is excluded, as in all ranges of the server. */
export function exportPath(id: string, format: string, range: Range | null): string {
  const query = new URLSearchParams({ format, session_id: id });
  if (range) {
    query.set('from', new Date(range.from).toISOString());
    query.set('to', new Date(range.to).toISOString());
  }
  return `/api/movements/export?${query}`;
}

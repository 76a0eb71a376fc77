/** What was done, by whom and from where, newest first, page by page. */
import { useState } from 'react';
import { audit } from '../api/access';
import { useWords } from '../i18n/language';
import { Sign } from './Sign';
import { Empty, Failed, Loading, Panel } from './Panel';
import { useRead } from './useRead';

const LIMIT = 50;

export function Audit() {
  const { t, number, dateTime } = useWords();
  const [before, setBefore] = useState<readonly string[]>([]);
  const last = before.at(-1);
  const { value, error, reload } = useRead(
    (signal) => audit({ limit: LIMIT, ...(last ? { before: last } : {}) }, signal),
    last,
  );
  return (
    <>
      <Panel
        title={t('What was done')}
        side={
          <button type="button" onClick={reload}>
            {t('Read again')}
          </button>
        }
      >
        {error && <Failed error={error} retry={reload} />}
        {value === null ? (
          !error && <Loading lines={8} />
        ) : value.items.length === 0 ? (
          <Empty icon="check">{t('Nothing yet.')}</Empty>
        ) : (
          <div className="table-scroll plain">
            <table>
              <thead>
                <tr>
                  <th>{t('When')}</th>
                  <th>{t('Who')}</th>
                  <th>{t('What')}</th>
                  <th>{t('Details')}</th>
                  <th>{t('Address')}</th>
                </tr>
              </thead>
              <tbody>
                {value.items.map((entry) => (
                  <tr key={entry.id}>
                    <td>{dateTime(entry.at)}</td>
                    <td>{entry.actor ?? '–'}</td>
                    <td>
                      <code>{entry.action}</code> {entry.subject}
                    </td>
                    <td className="details">{inWords(entry.details)}</td>
                    <td>{entry.address ?? '–'}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <div className="pager">
        <button
          type="button"
          className="icon-button"
          aria-label={t('Previous page')}
          disabled={before.length === 0}
          onClick={() => setBefore(before.slice(0, -1))}
        >
          <Sign name="left" />
        </button>
        <span>{t('Page {n}', { n: number(before.length + 1) })}</span>
        <button
          type="button"
          className="icon-button"
          aria-label={t('Next page')}
          disabled={!value?.next}
          onClick={() => value?.next && setBefore([...before, value.next])}
        >
          <Sign name="right" />
        </button>
      </div>
    </>
  );
}

/** "role: operator, scope: read" */
function inWords(details: Readonly<Record<string, unknown>> | null): string {
  return Object.entries(details ?? {})
    .filter(([, value]) => value !== null && value !== '' && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(', ');
}

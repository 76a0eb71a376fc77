/** Keys: what programs and screens enter with. A key is shown once, when it is made; the server keeps only its digest. */
import { useRef, useState } from 'react';
import { addKey, keys, revokeKey, type Key as KeyRow, type NewKey } from '../api/access';
import type { Scope } from '../feed/access';
import { at } from '../feed/mount';
import { useAllSessions, useSessionNames } from '../hooks/useList';
import { useNow } from '../hooks/useNow';
import { useWords, type Key } from '../i18n/language';
import { explained } from '../i18n/refusals';
import { Copy } from './Copy';
import { Dialog, Field, useModal } from './Dialog';
import { Sign } from './Sign';
import { Empty, Failed, Loading, Panel } from './Panel';
import { useRead } from './useRead';

const SCOPES: Readonly<Record<Scope, Key>> = {
  read: 'read: sees the counts, also on a kiosk screen',
  ingest: 'ingest: sends counts, as a camera does',
  operate: 'operate: resolves alerts, sets thresholds',
  metrics: 'metrics: reads the counters for monitoring',
  admin: 'admin: everything',
};
const DAYS = ['', '1', '30', '90', '365', 'date'] as const;

export function Keys() {
  const words = useWords();
  const { t, dateTime } = words;
  const now = useNow();
  const name = useSessionNames();
  const { value: rows, error, reload } = useRead(keys);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<NewKey | null>(null);
  const [revoking, setRevoking] = useState<KeyRow | null>(null);
  const stateOf = (row: KeyRow) =>
    row.revoked_at
      ? { text: t('Revoked'), tone: 'error' }
      : row.expires_at && Date.parse(row.expires_at) <= now
        ? { text: t('Expired'), tone: '' }
        : { text: t('Valid'), tone: 'active' };
  return (
    <Panel
      title={t('Keys')}
      side={
        <button type="button" onClick={() => setAdding(true)}>
          <Sign name="plus" />
          {t('New key')}
        </button>
      }
    >
      {error && <Failed error={error} retry={reload} />}
      {rows === null ? (
        !error && <Loading lines={5} />
      ) : rows.length === 0 ? (
        <Empty icon="admin">{t('No keys yet. Cameras, other programs and kiosk screens enter with a key.')}</Empty>
      ) : (
        <div className="table-scroll plain">
          <table>
            <thead>
              <tr>
                <th>{t('Name')}</th>
                <th>{t('Right')}</th>
                <th>{t('Sessions')}</th>
                <th>{t('Status')}</th>
                <th>{t('Made')}</th>
                <th>{t('Ends')}</th>
                <th>
                  <span className="unseen">{t('Actions')}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id} className={row.revoked_at ? 'past' : ''}>
                  <td>
                    <strong>{row.name}</strong>
                  </td>
                  <td>
                    <code>{row.scope}</code>
                  </td>
                  <td className="names" title={row.session_ids.map(name).join(', ')}>
                    {row.is_restricted ? row.session_ids.map(name).join(', ') || t('none any more') : t('All')}
                  </td>
                  <td>
                    <span className={`badge ${stateOf(row).tone}`}>{stateOf(row).text}</span>
                  </td>
                  <td>
                    {dateTime(row.created_at)}
                    {row.created_by && <span className="quiet"> {row.created_by}</span>}
                  </td>
                  <td>{row.revoked_at || row.expires_at ? dateTime(row.revoked_at ?? row.expires_at!) : t('never')}</td>
                  <td className="row-actions">
                    {stateOf(row).tone === 'active' && (
                      <button type="button" aria-label={`${t('Revoke')}: ${row.name}`} onClick={() => setRevoking(row)}>
                        {t('Revoke')}
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {adding && (
        <NewKeyDialog
          onClose={() => setAdding(false)}
          onMade={(key) => {
            setMade(key);
            reload();
          }}
        />
      )}
      {made && <MadeDialog made={made} onClose={() => setMade(null)} />}
      {revoking && (
        <Dialog
          title={t('Revoke {name}?', { name: revoking.name })}
          action={t('Revoke')}
          danger
          onClose={() => setRevoking(null)}
          onSubmit={() => explained(revokeKey(revoking.id), words).then(reload)}
        >
          <p>{t('Whatever uses this key is shut out at once. This cannot be taken back.')}</p>
        </Dialog>
      )}
    </Panel>
  );
}

function NewKeyDialog({ onClose, onMade }: { onClose: () => void; onMade: (key: NewKey) => void }) {
  const words = useWords();
  const { t, number } = words;
  const sessions = useAllSessions();
  const [scope, setScope] = useState<Scope>('read');
  const [only, setOnly] = useState(false);
  const [days, setDays] = useState<(typeof DAYS)[number]>('');
  const restrictable = scope === 'read' || scope === 'ingest';
  const expiry = (form: FormData) => {
    if (days === '') return {};
    // The chosen day is the last one.
    const end =
      days === 'date' ? new Date(`${String(form.get('date'))}T23:59:59`) : new Date(Date.now() + Number(days) * 864e5);
    return { expires_at: end.toISOString() };
  };
  const create = async (form: FormData) => {
    const ids = form.getAll('session').map(String);
    if (restrictable && only && ids.length === 0) throw new Error(t('Pick at least one session.'));
    const wanted = {
      name: String(form.get('name')).trim(),
      scope,
      ...(restrictable && only ? { session_ids: ids } : {}),
      ...expiry(form),
    };
    onMade(await explained(addKey(wanted), words));
  };
  return (
    <Dialog title={t('New key')} action={t('Make the key')} onClose={onClose} onSubmit={create}>
      <Field label={t('Name: what will use it')}>
        <input name="name" required maxLength={200} autoComplete="off" autoFocus />
      </Field>
      <Field label={t('Right')}>
        <select name="scope" value={scope} onChange={(event) => setScope(event.target.value as Scope)}>
          {(Object.keys(SCOPES) as Scope[]).map((one) => (
            <option key={one} value={one}>
              {t(SCOPES[one])}
            </option>
          ))}
        </select>
      </Field>
      {restrictable && (
        <fieldset className="restriction">
          <legend>{t('Sessions')}</legend>
          <label className="check">
            <input type="radio" name="which" checked={!only} onChange={() => setOnly(false)} />
            {t('All, also those to come')}
          </label>
          <label className="check">
            <input type="radio" name="which" checked={only} onChange={() => setOnly(true)} />
            {t('Only these')}
          </label>
          {only && (
            <div className="picks" role="group" aria-label={t('Only these')} tabIndex={0}>
              {sessions.rows.map((row) => (
                <label key={row.id} className="check">
                  <input type="checkbox" name="session" value={row.id} />
                  {row.session_name}
                </label>
              ))}
              {sessions.ready && sessions.rows.length === 0 && <p>{t('No sessions match.')}</p>}
            </div>
          )}
        </fieldset>
      )}
      <Field label={t('Ends')}>
        <select value={days} onChange={(event) => setDays(event.target.value as (typeof DAYS)[number])}>
          {DAYS.map((one) => (
            <option key={one} value={one}>
              {one === ''
                ? t('never')
                : one === 'date'
                  ? t('on a day')
                  : one === '1'
                    ? t('tomorrow')
                    : t('in {n} days', { n: number(Number(one)) })}
            </option>
          ))}
        </select>
      </Field>
      {days === 'date' && (
        <Field label={t('Last day')}>
          <input name="date" type="date" required min={today()} />
        </Field>
      )}
    </Dialog>
  );
}

/** The day here, as inputs write it. */
function today(): string {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

function MadeDialog({ made, onClose }: { made: NewKey; onClose: () => void }) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useModal(() => dialog.current?.showModal());
  return (
    <dialog ref={dialog} className="dialog wide" aria-labelledby="made" onClose={onClose}>
      <div className="made">
        <h2 id="made">{t('The key of {name}', { name: made.name })}</h2>
        <p>{t('It is shown only now. Copy it before you close this.')}</p>
        <Copy label={t('Key')} text={made.key} />
        <Copy label={t('Try it')} text={curlOf(made)} />
        {made.scope === 'read' && (
          <>
            <Copy label={t('Kiosk link')} text={`${location.origin}${at('/kiosk')}#${made.key}`} />
            <p className="quiet">
              {t('Open the link on the screen that shall show the counts. In this browser it would sign you out.')}
            </p>
          </>
        )}
        <footer>
          <button type="button" className="primary" onClick={onClose}>
            {t('I have copied it')}
          </button>
        </footer>
      </div>
    </dialog>
  );
}

/** A line for a shell that uses the key. */
export function curlOf({ key, scope, session_ids }: NewKey): string {
  const auth = `-H 'Authorization: Bearer ${key}'`;
  const url = (path: string) => `'${location.origin}${at(path)}'`;
  const json = "-H 'Content-Type: application/json'";
  switch (scope) {
    case 'ingest':
      return `curl ${auth} ${json} -d '{"session_id":"${session_ids[0] ?? 'SESSION'}","person_id":1,"movement_direction":"in"}' ${url('/api/movements')}`;
    case 'operate':
      return `curl ${auth} ${json} -d '{"ids":["ALERT"]}' ${url('/api/alerts/resolve')}`;
    case 'metrics':
      return `curl ${auth} ${url('/api/system')}`;
    case 'admin':
      return `curl ${auth} ${url('/api/users')}`;
    default:
      return `curl -N ${auth} ${url(`/api/sse/movements${session_ids[0] ? `?session_id=${session_ids[0]}` : ''}`)}`;
  }
}

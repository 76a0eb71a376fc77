/** Account: who one is, one's password, and where one is signed in. */
import { useRef, useState } from 'react';
import { changePassword, endLogin, logins, type Login } from '../api/access';
import { toast } from '../browser/toasts';
import { Dialog } from '../components/Dialog';
import { Empty, Failed, Loading, Panel } from '../components/Panel';
import { Password } from '../components/Password';
import { useRead } from '../components/useRead';
import { useAccess } from '../hooks/useAccess';
import { useNow } from '../hooks/useNow';
import { useWords } from '../i18n/language';
import { ROLE } from '../i18n/names';
import { explained, sentenceOf } from '../i18n/refusals';
import '../style/parts.css';
import '../style/pages.css';
import '../style/access.css';

export function AccountPage() {
  const { t } = useWords();
  const { access, name, role, scopes } = useAccess();
  const list = useRead(logins, access ?? '');
  const what = role
    ? t(ROLE[role])
    : t(access === 'key' ? 'Signed in with a key' : access === 'local' ? 'By this machine' : 'Nobody needs to sign in');
  return (
    <div className="account-page">
      <header className="page-head">
        <div>
          <h1>{name ?? t('Account')}</h1>
          <p className="quiet">{what}</p>
        </div>
      </header>
      <div className="account-columns">
        <Panel title={t('Rights')}>
          <ul className="rights">
            {scopes.map((scope) => (
              <li key={scope}>
                <code>{scope}</code> <Right scope={scope} />
              </li>
            ))}
          </ul>
        </Panel>
        {access === 'user' && <ChangePassword name={name ?? ''} onChanged={list.reload} />}
      </div>
      {access === 'user' && (
        <Panel title={t('Where you are signed in')}>
          {list.value === null ? (
            list.error ? (
              <Failed error={list.error} retry={list.reload} />
            ) : (
              <Loading lines={3} />
            )
          ) : (
            <Logins rows={list.value} onEnded={list.reload} />
          )}
        </Panel>
      )}
    </div>
  );
}

/** What a scope lets one do. */
export function Right({ scope }: { scope: string }) {
  const { t } = useWords();
  switch (scope) {
    case 'read':
      return t('see everything');
    case 'ingest':
      return t('send counts');
    case 'operate':
      return t('resolve alerts, set thresholds, start and stop sessions');
    case 'metrics':
      return t('read the counters for monitoring');
    case 'admin':
      return t('delete, and manage users and keys');
    default:
      return '';
  }
}

function ChangePassword({ name, onChanged }: { name: string; onChanged: () => void }) {
  const words = useWords();
  const { t } = words;
  const form = useRef<HTMLFormElement>(null);
  const [state, setState] = useState<'idle' | 'busy' | { error: unknown }>('idle');
  const submit = async (fields: FormData) => {
    setState('busy');
    try {
      await changePassword(String(fields.get('old')), String(fields.get('new')));
      form.current?.reset();
      setState('idle');
      toast({ kind: 'note', text: t('Password changed. All your other logins have ended.') });
      onChanged();
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <Panel title={t('Change password')}>
      <form
        ref={form}
        className="login-form inset"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        {/* For password managers, which look for the name beside the password. */}
        <div className="unseen" aria-hidden="true">
          <input name="username" autoComplete="username" value={name} readOnly tabIndex={-1} />
        </div>
        <Password name="old" label={t('Old password')} />
        <Password name="new" label={t('New password')} isNew />
        {typeof state === 'object' && (
          <p className="failed" role="alert">
            {sentenceOf(state.error, words, { 403: 'The old password is wrong.' })}
          </p>
        )}
        <button type="submit" className="primary" disabled={state === 'busy'}>
          {t('Change password')}
        </button>
      </form>
    </Panel>
  );
}

function Logins({ rows, onEnded }: { rows: readonly Login[]; onEnded: () => void }) {
  const words = useWords();
  const { t, dateTime, ago } = words;
  const now = useNow();
  const [ending, setEnding] = useState<Login | null>(null);
  if (rows.length === 0) return <Empty icon="person">{t('Nowhere.')}</Empty>;
  return (
    <div className="table-scroll plain">
      <table>
        <thead>
          <tr>
            <th>{t('Browser')}</th>
            <th>{t('Address')}</th>
            <th>{t('Since')}</th>
            <th>{t('Last seen')}</th>
            <th>{t('Ends')}</th>
            <th>
              <span className="unseen">{t('Actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td title={row.user_agent ?? ''}>
                {browserOf(row.user_agent) ?? t('unknown')}{' '}
                {row.is_current && <span className="badge active">{t('this browser')}</span>}
              </td>
              <td>{row.address ?? '–'}</td>
              <td>{dateTime(row.created_at)}</td>
              <td>{ago(row.seen_at, now)}</td>
              <td>{dateTime(row.expires_at)}</td>
              <td className="row-actions">
                {!row.is_current && (
                  <button
                    type="button"
                    aria-label={`${t('End')}: ${browserOf(row.user_agent) ?? t('unknown')}, ${row.address ?? ''}`}
                    onClick={() => setEnding(row)}
                  >
                    {t('End')}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {ending && (
        <Dialog
          title={t('End this login?')}
          action={t('End')}
          danger
          onClose={() => setEnding(null)}
          onSubmit={() => explained(endLogin(ending.id), words).then(onEnded)}
        >
          <p>
            {browserOf(ending.user_agent) ?? t('unknown')}
            {ending.address && `, ${ending.address}`}.{' '}
            {t('It is signed out at once, and can sign in again with the password.')}
          </p>
        </Dialog>
      )}
    </div>
  );
}

/** "Firefox, Windows", of what a browser calls itself. */
export function browserOf(agent: string | null): string | null {
  const find = (names: readonly (readonly [RegExp, string])[]) => names.find(([like]) => like.test(agent ?? ''))?.[1];
  const browser = find([
    [/Edg\//, 'Edge'],
    [/OPR\//, 'Opera'],
    [/Firefox\//, 'Firefox'],
    [/Chrom(e|ium)\//, 'Chrome'],
    [/Safari\//, 'Safari'],
    [/^curl\//, 'curl'],
  ]);
  const system = find([
    [/Windows/, 'Windows'],
    [/Android/, 'Android'],
    [/iPhone|iPad/, 'iOS'],
    [/Mac OS X/, 'macOS'],
    [/CrOS/, 'ChromeOS'],
    [/Linux/, 'Linux'],
  ]);
  return [browser, system].filter(Boolean).join(', ') || null;
}

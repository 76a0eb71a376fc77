/** Users: who may sign in, and as what. */
import { useState } from 'react';
import { addUser, changeUser, deleteUser, users, type User } from '../api/access';
import { toast } from '../browser/toasts';
import type { Role } from '../feed/access';
import { useAccess } from '../hooks/useAccess';
import { useNow } from '../hooks/useNow';
import { useWords, type Key } from '../i18n/language';
import { ROLE } from '../i18n/names';
import { explained } from '../i18n/refusals';
import { Dialog, Field } from './Dialog';
import { Sign } from './Sign';
import { Empty, Failed, Loading, Panel } from './Panel';
import { Password } from './Password';
import { useRead } from './useRead';

type Open = { kind: 'add' } | { kind: 'edit' | 'password' | 'delete'; user: User } | null;
const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];
const LAST: Readonly<Record<number, Key>> = { 409: 'There must be one admin who can sign in.' };

export function Users() {
  const words = useWords();
  const { t, dateTime, ago } = words;
  const { name: me, reload: reloadAccess } = useAccess();
  const now = useNow();
  const { value: rows, error, reload } = useRead(users);
  const [open, setOpen] = useState<Open>(null);
  const onClose = () => setOpen(null);
  return (
    <Panel
      title={t('Users')}
      side={
        <button type="button" onClick={() => setOpen({ kind: 'add' })}>
          <Sign name="plus" />
          {t('New user')}
        </button>
      }
    >
      {error && <Failed error={error} retry={reload} />}
      {rows === null ? (
        !error && <Loading lines={5} />
      ) : rows.length === 0 ? (
        <Empty icon="person">{t('No users yet: everyone on this machine may do everything.')}</Empty>
      ) : (
        <div className="table-scroll plain">
          <table>
            <thead>
              <tr>
                <th>{t('User name')}</th>
                <th>{t('Role')}</th>
                <th>{t('Status')}</th>
                <th>{t('Since')}</th>
                <th>{t('Last seen')}</th>
                <th>
                  <span className="unseen">{t('Actions')}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((user) => (
                <tr key={user.id}>
                  <td>
                    <strong>{user.username}</strong> {user.username === me && <span className="quiet">{t('you')}</span>}
                  </td>
                  <td>{t(ROLE[user.role])}</td>
                  <td>
                    {user.is_disabled ? (
                      <span className="badge error">{t('Disabled')}</span>
                    ) : user.has_password ? (
                      <span className="badge active">{t('May sign in')}</span>
                    ) : (
                      <span className="badge">{t('No password yet')}</span>
                    )}
                  </td>
                  <td>{dateTime(user.created_at)}</td>
                  <td>{user.seen_at ? ago(user.seen_at, now) : t('never')}</td>
                  <td className="row-actions">
                    {button('edit', 'edit', 'Change role', user)}
                    {button('password', 'key', 'Reset password', user)}
                    {button('delete', 'trash', 'Delete', user)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {open?.kind === 'add' && (
        <Dialog
          title={t('New user')}
          action={t('Add')}
          onClose={onClose}
          onSubmit={(form) =>
            explained(
              addUser({
                username: String(form.get('username')).trim(),
                role: form.get('role') as Role,
                password: String(form.get('password')),
              }),
              words,
              { 409: 'There is a user of this name already.' },
            ).then(() => {
              reload();
              reloadAccess();
            })
          }
        >
          <Field label={t('User name')}>
            <input name="username" autoComplete="off" autoCapitalize="none" spellCheck={false} required autoFocus />
          </Field>
          <RoleField />
          <Password name="password" label={t('First password')} isNew />
        </Dialog>
      )}
      {open?.kind === 'edit' && (
        <Dialog
          title={open.user.username}
          action={t('Save')}
          onClose={onClose}
          onSubmit={(form) => {
            const change = { role: form.get('role') as Role, is_disabled: form.get('disabled') !== null };
            return explained(changeUser(open.user.id, change), words, LAST).then(reload);
          }}
        >
          <RoleField role={open.user.role} />
          <label className="check">
            <input type="checkbox" name="disabled" defaultChecked={open.user.is_disabled} />
            {t('Disabled: may not sign in, and is signed out everywhere')}
          </label>
        </Dialog>
      )}
      {open?.kind === 'password' && (
        <Dialog
          title={t('Reset the password of {name}', { name: open.user.username })}
          action={t('Reset password')}
          onClose={onClose}
          onSubmit={(form) =>
            explained(changeUser(open.user.id, { password: String(form.get('password')) }), words).then(() => {
              toast({ kind: 'note', text: t('The password of {name} has changed.', { name: open.user.username }) });
              reload();
            })
          }
        >
          <p>{t('All logins of this user end. Tell the new password in person; it can be changed under “Account”.')}</p>
          <Password name="password" label={t('New password')} isNew autoFocus />
        </Dialog>
      )}
      {open?.kind === 'delete' && (
        <Dialog
          title={t('Delete {name}?', { name: open.user.username })}
          action={t('Delete')}
          danger
          onClose={onClose}
          onSubmit={() => explained(deleteUser(open.user.id), words, LAST).then(reload)}
        >
          <p>{t('The user is signed out everywhere. What this user did stays listed under “What was done”.')}</p>
        </Dialog>
      )}
    </Panel>
  );

  function button(kind: 'edit' | 'password' | 'delete', icon: 'edit' | 'key' | 'trash', text: Key, user: User) {
    return (
      <button
        type="button"
        className="icon-button"
        title={t(text)}
        aria-label={`${t(text)}: ${user.username}`}
        onClick={() => setOpen({ kind, user })}
      >
        <Sign name={icon} />
      </button>
    );
  }
}

function RoleField({ role = 'viewer' }: { role?: Role }) {
  const { t } = useWords();
  const [chosen, setChosen] = useState(role);
  const may: Readonly<Record<Role, Key>> = {
    viewer: 'Sees everything, changes nothing.',
    operator: 'Also resolves alerts, sets thresholds, starts and stops sessions.',
    admin: 'Also deletes, and manages users and keys.',
  };
  return (
    <>
      <Field label={t('Role')}>
        <select name="role" value={chosen} onChange={(event) => setChosen(event.target.value as Role)}>
          {ROLES.map((one) => (
            <option key={one} value={one}>
              {t(ROLE[one])}
            </option>
          ))}
        </select>
      </Field>
      <p className="quiet" role="status">
        {t(may[chosen])}
      </p>
    </>
  );
}

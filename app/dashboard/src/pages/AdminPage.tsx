/** Access: who may use the feed, with which keys, and what was done. */
import { Choice } from '../components/Choice';
import { Audit } from '../components/Audit';
import { OpenToAll } from '../components/OpenToAll';
import { Keys } from '../components/Keys';
import { Users } from '../components/Users';
import { useAccess } from '../hooks/useAccess';
import { useWords } from '../i18n/language';
import { setQuery, useAddress } from '../router';
import '../style/parts.css';
import '../style/pages.css';
import '../style/access.css';

const SHOWN = ['users', 'keys', 'audit'] as const;

export function AdminPage() {
  const { t } = useWords();
  const { access, may, loading } = useAccess();
  const allowed = access !== 'open' && may('admin');
  const asked = useAddress().searchParams.get('show');
  const show = SHOWN.find((one) => one === asked) ?? 'users';
  return (
    <div className="admin-page">
      <div className="toolbar">
        <h1>{t('Access')}</h1>
        {allowed && (
          <Choice
            label={t('Access')}
            value={show}
            onChange={(value) => setQuery({ show: value === 'users' ? '' : value })}
            options={[
              { value: 'users', text: t('Users') },
              { value: 'keys', text: t('Keys') },
              { value: 'audit', text: t('What was done') },
            ]}
          />
        )}
      </div>
      {access === 'open' ? (
        <p>
          <OpenToAll />
        </p>
      ) : !allowed ? (
        !loading && <p>{t('This takes an admin.')}</p>
      ) : show === 'users' ? (
        <Users />
      ) : show === 'keys' ? (
        <Keys />
      ) : (
        <Audit />
      )}
    </div>
  );
}

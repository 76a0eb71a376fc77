/**
 * Sessions: search, filter and sort, page by page.
 *
 * Invariant: the shown page stays current, because the server is asked for it again whenever a session changes.
 */
import { useEffect, useState, useSyncExternalStore } from 'react';
import { hiddenSessions } from '../api/actions';
import { get, send } from '../api/rest';
import { latestPlot } from '../plots/latest';
import { shownSource, type Session, type SessionStatus } from '../feed/rows';
import { useAllSessions } from '../hooks/useList';
import { useNow } from '../hooks/useNow';
import { useReplica } from '../hooks/useReplica';
import { useWords } from '../i18n/language';
import type { Key } from '../i18n/language';
import { Dialog, Field } from '../components/Dialog';
import { Icon } from '../components/Icon';
import { Sign } from '../components/Sign';
import { useMay } from '../components/Kiosk';
import { Choice } from '../components/Choice';
import { Empty, Failed, Loading } from '../components/Panel';
import { SessionActions } from '../components/SessionActions';
import { Inside, Total } from '../components/Total';
import { at } from '../feed/mount';
import { follow, setQuery, useAddress } from '../router';
import { STATUS } from '../i18n/states';
import '../style/parts.css';
import '../style/pages.css';

type Filter = SessionStatus | 'all';
const FILTERS: readonly Filter[] = ['all', 'active', 'completed', 'error', 'cancelled'];
const COLUMNS: readonly { order: string; key: Key }[] = [
  { order: 'session_name', key: 'Name' },
  { order: 'start_time', key: 'Started' },
];
interface Page {
  items: Session[];
  next: string | null;
  total: number;
}

export function SessionsPage() {
  const { t, number } = useWords();
  const { searchParams } = useAddress();
  const may = useMay();
  const [creating, setCreating] = useState(false);
  const order = searchParams.get('order') ?? '-start_time';
  const status = FILTERS.find((one) => one === searchParams.get('status')) ?? 'all';
  const search = searchParams.get('search') ?? '';
  // Where each page begins, the first one left out: a reload, a link and "back" find the same page.
  const after = (searchParams.get('after') ?? '').split(',').filter(Boolean);
  const setAfter = (tokens: readonly string[]) => setQuery({ after: tokens.join() });
  const { page, error, reload } = usePage({ order, status, search, after: after.at(-1) ?? '' });
  const hidden = useSyncExternalStore(hiddenSessions.subscribe, hiddenSessions.get);
  const rows = page?.items.filter((row) => !hidden.has(row.id));
  const change = (values: Record<string, string>) => {
    setQuery({ after: '', ...values });
  };
  return (
    <div className="sessions">
      <h1 className="unseen">{t('Sessions')}</h1>
      <div className="toolbar">
        <label className="search">
          <Icon name="search" />
          <input
            type="search"
            placeholder={t('Search by name or source')}
            aria-label={t('Search by name or source')}
            value={search}
            onChange={(event) => change({ search: event.target.value })}
          />
        </label>
        <Choice
          label={t('Status')}
          value={status}
          onChange={(value) => change({ status: value === 'all' ? '' : value })}
          options={FILTERS.map((value) => ({ value, text: value === 'all' ? t('All') : t(STATUS[value]) }))}
        />
        <span className="quiet grow">
          {page && `${t('{n} sessions', { n: number(page.total) })} · `}
          {t('Active sessions')}: <Total of={(all) => all.now.active_sessions} />
        </span>
        {may('operate') && (
          <button type="button" className="primary" onClick={() => setCreating(true)}>
            <Sign name="plus" />
            {t('New session')}
          </button>
        )}
      </div>
      {error && <Failed error={error} retry={reload} />}
      {!rows ? (
        <Loading lines={10} />
      ) : rows.length === 0 ? (
        <Empty icon="sessions">
          {search || status !== 'all' ? t('No sessions match.') : <p>{t('No camera is counting yet')}</p>}
        </Empty>
      ) : (
        <Table rows={rows} order={order} onOrder={(next) => change({ order: next })} />
      )}
      <div className="pager">
        <button
          type="button"
          className="icon-button"
          aria-label={t('Previous page')}
          disabled={after.length === 0}
          onClick={() => setAfter(after.slice(0, -1))}
        >
          <Sign name="left" />
        </button>
        <span>{t('Page {n}', { n: number(after.length + 1) })}</span>
        <button
          type="button"
          className="icon-button"
          aria-label={t('Next page')}
          disabled={!page?.next}
          onClick={() => page?.next && setAfter([...after, page.next])}
        >
          <Sign name="right" />
        </button>
      </div>
      {creating && <NewSession onClose={() => setCreating(false)} />}
    </div>
  );
}

function Table({
  rows,
  order,
  onOrder,
}: {
  rows: readonly Session[];
  order: string;
  onOrder: (order: string) => void;
}) {
  const { t, dateTime, span } = useWords();
  const now = useNow();
  const latest = useReplica('latest', latestPlot).value;
  const heading = ({ order: column, key }: (typeof COLUMNS)[number]) => {
    const falls = order === `-${column}`;
    return (
      <th
        key={key}
        className={column === 'start_time' ? 'when' : undefined}
        aria-sort={falls ? 'descending' : order === column ? 'ascending' : 'none'}
      >
        <button
          type="button"
          className="sort"
          title={t('Sort by {column}', { column: t(key) })}
          onClick={() => onOrder(falls ? column : `-${column}`)}
        >
          {t(key)}
        </button>
      </th>
    );
  };
  return (
    <div className="table-scroll">
      <table>
        <thead>
          <tr>
            {heading(COLUMNS[0]!)}
            <th>{t('Status')}</th>
            <th className="source">{t('Source')}</th>
            {heading(COLUMNS[1]!)}
            <th className="figure when">{t('Duration')}</th>
            <th className="figure">{t('Inside')}</th>
            <th>
              <span className="unseen">{t('Actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id}>
              <td>
                <a href={at(`/sessions/${row.id}`)} onClick={follow} title={row.session_name}>
                  {row.session_name}
                </a>
              </td>
              <td>
                <span className={`badge ${row.status}`}>{t(STATUS[row.status])}</span>
              </td>
              <td className="source">{shownSource(row) ?? '–'}</td>
              <td className="when">{dateTime(row.start_time)}</td>
              <td className="figure when">
                {span((row.end_time ? Date.parse(row.end_time) : now) - Date.parse(row.start_time))}
              </td>
              <td className="figure">
                {row.status === 'active' && latest ? <Inside id={row.id} reading={latest.get(row.id)} /> : '–'}
              </td>
              <td className="row-actions">
                <SessionActions session={row} compact />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function NewSession({ onClose }: { onClose: () => void }) {
  const { t } = useWords();
  const create = (form: FormData) => {
    const source = String(form.get('source') ?? '');
    return send('POST', '/api/sessions', {
      session_name: form.get('name'),
      ...(source ? { input_source: source } : {}),
    });
  };
  return (
    <Dialog title={t('New session')} action={t('Start')} onClose={onClose} onSubmit={create}>
      <Field label={t('Name')}>
        <input name="name" required maxLength={200} autoFocus />
      </Field>
      <Field label={t('Source')}>
        <input name="source" placeholder="rtsp://" maxLength={500} />
      </Field>
    </Dialog>
  );
}

/** One page of the list, read again when any of the newest sessions changes. */
function usePage({ order, status, search, after }: { order: string; status: Filter; search: string; after: string }) {
  const { rows } = useAllSessions();
  const [page, setPage] = useState<Page | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stopping = new AbortController();
    const query = new URLSearchParams({ order, limit: '25', count: 'true' });
    if (status !== 'all') query.set('status', status);
    if (search) query.set('search', search);
    if (after) query.set('after', after);
    const timer = setTimeout(
      () => {
        get<Page>(`/api/sessions?${query}`, stopping.signal).then(
          (next) => {
            setPage(next);
            setError(null);
          },
          (reason: unknown) => {
            if (!stopping.signal.aborted) setError(reason as Error);
          },
        );
      },
      page ? 150 : 0,
    );
    return () => {
      clearTimeout(timer);
      stopping.abort();
    };
  }, [order, status, search, after, rows, round]);
  return { page, error, reload: () => setRound(round + 1) };
}

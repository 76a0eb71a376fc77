/** Thresholds: when to raise an alert. They are not streamed, so the list is read again after each change made here. */
import { useEffect, useState } from 'react';
import { get, send } from '../api/rest';
import type { Threshold } from '../feed/rows';
import { useActiveSessions } from '../hooks/useList';
import { useSend } from '../hooks/useSend';
import { useWords } from '../i18n/language';
import { Dialog, Field } from './Dialog';
import { Icon } from './Icon';
import { Empty, Loading, Panel } from './Panel';

type Open = { kind: 'edit'; threshold: Threshold | null } | { kind: 'delete'; threshold: Threshold } | null;

export function Thresholds({ name }: { name: (id: string | null) => string }) {
  const { t, number } = useWords();
  const [rows, setRows] = useState<readonly Threshold[] | null>(null);
  const [open, setOpen] = useState<Open>(null);
  const { busy, run } = useSend();
  const read = () => run(async () => setRows((await get<{ items: Threshold[] }>('/api/thresholds?limit=200')).items));
  useEffect(() => {
    void read();
  }, []);
  const change = async (task: () => Promise<unknown>) => {
    if (!(await run(task))) return;
    setOpen(null);
    await read();
  };
  return (
    <Panel
      title={t('Thresholds')}
      side={
        <button type="button" onClick={() => setOpen({ kind: 'edit', threshold: null })}>
          <Icon name="plus" />
          {t('New threshold')}
        </button>
      }
    >
      {rows === null ? (
        <Loading lines={3} />
      ) : rows.length === 0 ? (
        <Empty icon="alerts">
          {t('No thresholds yet. A threshold raises an alert when a count reaches its limit.')}
        </Empty>
      ) : (
        <ul className="thresholds">
          {rows.map((row) => (
            <li key={row.id} className={row.is_active ? '' : 'off'}>
              <span className="limit">{number(row.threshold_value)}</span>
              <div>
                <strong>{row.threshold_name}</strong>
                <span>{name(row.session_id)}</span>
              </div>
              <label className="switch">
                <input
                  type="checkbox"
                  role="switch"
                  aria-label={t('Enable {name}', { name: row.threshold_name })}
                  checked={row.is_active}
                  disabled={busy}
                  onChange={(event) =>
                    void change(() => send('PATCH', `/api/thresholds/${row.id}`, { is_active: event.target.checked }))
                  }
                />
              </label>
              <button
                type="button"
                className="icon-button"
                aria-label={t('Edit {name}', { name: row.threshold_name })}
                onClick={() => setOpen({ kind: 'edit', threshold: row })}
              >
                <Icon name="edit" />
              </button>
              <button
                type="button"
                className="icon-button"
                aria-label={`${t('Delete')}: ${row.threshold_name}`}
                onClick={() => setOpen({ kind: 'delete', threshold: row })}
              >
                <Icon name="trash" />
              </button>
            </li>
          ))}
        </ul>
      )}
      {open?.kind === 'edit' && (
        <Edit
          threshold={open.threshold}
          busy={busy}
          onClose={() => setOpen(null)}
          onSave={(body) => void change(() => save(open.threshold, body))}
        />
      )}
      {open?.kind === 'delete' && (
        <Dialog
          title={t('Delete threshold {name}?', { name: open.threshold.threshold_name })}
          action={t('Delete')}
          danger
          busy={busy}
          onClose={() => setOpen(null)}
          onSubmit={() => void change(() => send('DELETE', `/api/thresholds/${open.threshold.id}`))}
        >
          <p>{t('Its alerts stay in the history.')}</p>
        </Dialog>
      )}
    </Panel>
  );
}

function Edit({
  threshold,
  busy,
  onClose,
  onSave,
}: {
  threshold: Threshold | null;
  busy: boolean;
  onClose: () => void;
  onSave: (body: object) => void;
}) {
  const { t } = useWords();
  const active = useActiveSessions();
  return (
    <Dialog
      title={t(threshold ? 'Edit threshold' : 'New threshold')}
      action={t('Save')}
      busy={busy}
      onClose={onClose}
      onSubmit={(form) =>
        onSave({
          threshold_name: form.get('name'),
          threshold_value: Number(form.get('limit')),
          alert_message: String(form.get('message') ?? '') || null,
          session_id: String(form.get('session') ?? '') || null,
        })
      }
    >
      <Field label={t('Name')}>
        <input name="name" required maxLength={200} defaultValue={threshold?.threshold_name} autoFocus />
      </Field>
      <Field label={t('Limit (people)')}>
        <input
          name="limit"
          type="number"
          required
          min={0}
          max={2147483647}
          step={1}
          defaultValue={threshold?.threshold_value ?? 50}
        />
      </Field>
      <Field label={t('Session')}>
        <select name="session" defaultValue={threshold?.session_id ?? ''}>
          <option value="">{t('All sessions')}</option>
          {threshold?.session_id && !active.rows.some((row) => row.id === threshold.session_id) && (
            <option value={threshold.session_id}>{t('unknown')}</option>
          )}
          {active.rows.map((row) => (
            <option key={row.id} value={row.id}>
              {row.session_name}
            </option>
          ))}
        </select>
      </Field>
      <Field label={t('Message')}>
        <input name="message" maxLength={500} defaultValue={threshold?.alert_message ?? ''} />
      </Field>
    </Dialog>
  );
}

function save(threshold: Threshold | null, body: object): Promise<unknown> {
  return threshold ? send('PATCH', `/api/thresholds/${threshold.id}`, body) : send('POST', '/api/thresholds', body);
}

/** Thresholds: when to raise an alert. They are not streamed, so the list is read again after each change made here. */
import { useEffect, useState } from 'react';
import { get, send } from '../api/rest';
import type { AlertType, Threshold } from '../feed/rows';
import { useActiveSessions } from '../hooks/useList';
import { useSend } from '../hooks/useSend';
import { useWords, type Words } from '../i18n/language';
import { KIND } from '../i18n/names';
import { Dialog, Field } from './Dialog';
import { Sign } from './Sign';
import { useMay } from './Kiosk';
import { Empty, Loading, Panel } from './Panel';

type Open = { kind: 'edit'; threshold: Threshold | null } | { kind: 'delete'; threshold: Threshold } | null;
/** What adds up over all sessions. */
const ADDED: readonly AlertType[] = ['people_count', 'entered_per_minute', 'exited_per_minute'];

export function Thresholds({ name }: { name: (id: string | null) => string }) {
  const words = useWords();
  const { t, number } = words;
  const may = useMay();
  const [rows, setRows] = useState<readonly Threshold[] | null>(null);
  const [open, setOpen] = useState<Open>(null);
  const { busy, run } = useSend();
  const read = () => run(async () => setRows((await get<{ items: Threshold[] }>('/api/thresholds?limit=200')).items));
  useEffect(() => {
    void read();
  }, []);
  const path = (row: Threshold | null) => `/api/thresholds${row ? `/${row.id}` : ''}`;
  const onClose = () => setOpen(null);
  return (
    <Panel
      title={t('Thresholds')}
      side={
        may('operate') && (
          <button type="button" onClick={() => setOpen({ kind: 'edit', threshold: null })}>
            <Sign name="plus" />
            {t('New threshold')}
          </button>
        )
      }
    >
      {rows === null ? (
        <Loading lines={3} />
      ) : rows.length === 0 ? (
        <Empty icon="alerts">{t('No thresholds yet. A threshold raises an alert when its limit is reached.')}</Empty>
      ) : (
        <ul className="thresholds">
          {rows.map((row) => (
            <li key={row.id} className={row.is_active ? '' : 'off'}>
              <span className="limit">{number(row.threshold_value)}</span>
              <div>
                <strong>{row.threshold_name}</strong>
                <span>{inWords(words, row, name)}</span>
              </div>
              <label className="switch">
                <input
                  type="checkbox"
                  role="switch"
                  aria-label={t('Enable {name}', { name: row.threshold_name })}
                  checked={row.is_active}
                  disabled={busy || !may('operate')}
                  onChange={(event) => {
                    const body = { is_active: event.target.checked };
                    void run(() => send('PATCH', path(row), body)).then(read);
                  }}
                />
              </label>
              {may('operate') && (
                <button
                  type="button"
                  className="icon-button"
                  aria-label={t('Edit {name}', { name: row.threshold_name })}
                  onClick={() => setOpen({ kind: 'edit', threshold: row })}
                >
                  <Sign name="edit" />
                </button>
              )}
              {may('operate') && (
                <button
                  type="button"
                  className="icon-button"
                  aria-label={`${t('Delete')}: ${row.threshold_name}`}
                  onClick={() => setOpen({ kind: 'delete', threshold: row })}
                >
                  <Sign name="trash" />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {open?.kind === 'edit' && (
        <Edit
          threshold={open.threshold}
          onClose={onClose}
          onSave={(body) => send(open.threshold ? 'PATCH' : 'POST', path(open.threshold), body).then(read)}
        />
      )}
      {open?.kind === 'delete' && (
        <Dialog
          title={t('Delete threshold {name}?', { name: open.threshold.threshold_name })}
          action={t('Delete')}
          danger
          onClose={onClose}
          onSubmit={() => send('DELETE', path(open.threshold)).then(read)}
        >
          <p>{t('Its alerts stay in the history.')}</p>
        </Dialog>
      )}
    </Panel>
  );
}

/** "people below 5 for 60 s · all sessions together" */
function inWords({ t, number, span }: Words, row: Threshold, name: (id: string | null) => string): string {
  const [what, unit] = KIND[row.alert_type];
  const limit =
    row.alert_type === 'people_count' ? number(row.threshold_value) : t(unit, { n: number(row.threshold_value) });
  const condition =
    row.alert_type === 'unmeasured'
      ? t('watches nothing: {name} is not measured', { name: row.threshold_name })
      : row.alert_type === 'no_signal_seconds'
        ? t('no signal for {time}', { time: span(row.threshold_value * 1000) })
        : t(row.direction === 'below' ? '{what} below {limit}' : '{what} at or above {limit}', {
            what: t(what),
            limit,
          });
  return [
    row.lasting_seconds > 0
      ? t('{condition} for {time}', { condition, time: span(row.lasting_seconds * 1000) })
      : condition,
    row.is_total ? t('all sessions together') : row.session_id === null ? t('each session') : name(row.session_id),
    row.type_from_name && t('as its name says'),
  ]
    .filter(Boolean)
    .join(' · ');
}

function Edit({
  threshold,
  onClose,
  onSave,
}: {
  threshold: Threshold | null;
  onClose: () => void;
  onSave: (body: object) => Promise<unknown>;
}) {
  const { t } = useWords();
  const active = useActiveSessions();
  const [kind, setKind] = useState<AlertType>(threshold?.alert_type ?? 'people_count');
  const isTime = kind === 'no_signal_seconds'; // itself: no direction, and lasting means nothing
  const unit = t(KIND[kind][1], { n: '' }).trim();
  return (
    <Dialog
      title={t(threshold ? 'Edit threshold' : 'New threshold')}
      action={t('Save')}
      onClose={onClose}
      onSubmit={(form) => {
        const whose = String(form.get('whose'));
        return onSave({
          threshold_name: form.get('name'),
          alert_type: kind,
          direction: form.get('direction') ?? 'above',
          threshold_value: Number(form.get('limit')),
          lasting_seconds: Number(form.get('lasting')),
          is_total: whose === 'all',
          session_id: whose === 'all' || whose === 'each' ? null : whose,
          alert_message: String(form.get('message') ?? '') || null,
        });
      }}
    >
      <Field label={t('Name')}>
        <input name="name" required maxLength={200} defaultValue={threshold?.threshold_name} autoFocus />
      </Field>
      <Field label={t('Watches')}>
        <select name="kind" value={kind} onChange={(event) => setKind(event.target.value as AlertType)}>
          {(Object.keys(KIND) as AlertType[]).map((one) => (
            <option key={one} value={one}>
              {capital(t(KIND[one][0]))}
            </option>
          ))}
        </select>
      </Field>
      {!isTime && (
        <Field label={t('Raise an alert')}>
          <select name="direction" defaultValue={threshold?.direction}>
            <option value="above">{t('at or above the limit')}</option>
            <option value="below">{t('below the limit')}</option>
          </select>
        </Field>
      )}
      <Field label={unit ? t('Limit ({unit})', { unit }) : t('Limit')}>
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
      {!isTime && (
        <Field label={t('For at least (seconds)')}>
          <input
            name="lasting"
            type="number"
            min={0}
            max={86400}
            step={1}
            defaultValue={threshold?.lasting_seconds ?? 0}
          />
        </Field>
      )}
      <Field label={t('Session')}>
        <select name="whose" defaultValue={threshold?.is_total ? 'all' : (threshold?.session_id ?? 'each')}>
          <option value="each">{capital(t('each session'))}</option>
          {ADDED.includes(kind) && <option value="all">{capital(t('all sessions together'))}</option>}
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

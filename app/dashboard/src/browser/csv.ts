/** CSV: all pages of a REST list as a file for spreadsheets, put together in the browser. */
import { get } from '../api/rest';

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is prefixed with a quote. */
export function csvOf(rows: readonly object[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const lines = rows.map((row) => columns.map((column) => cell((row as Record<string, unknown>)[column])).join(','));
  return [columns.join(','), ...lines].join('\r\n') + '\r\n';
}

/** Read all pages of a list and save them as a file. */
export async function downloadCsv(path: string, name: string): Promise<void> {
  const rows: object[] = [];
  const url = new URL(path, location.href);
  url.searchParams.set('limit', '1000');
  for (;;) {
    const page = await get<{ items: object[]; next: string | null }>(url.href);
    rows.push(...page.items);
    if (page.next === null) break;
    url.searchParams.set('after', page.next);
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(['\ufeff', csvOf(rows)], { type: 'text/csv' }));
  link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, '-')}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

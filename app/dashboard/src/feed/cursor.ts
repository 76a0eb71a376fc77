/**
 * Cursor: how far a reader has come in the change log, as the server wrote it.
 *
 * Invariant: a cursor is opaque text. Any code may keep it, send it back and compare two for equality; none may
 * calculate with it or order it. Only this file looks inside: the readers of a browser share one stream although their
 * snapshots were read at different cursors, so something must know which came first. It ships with the server whose
 * cursors it reads; other clients do not.
 */
declare const brand: unique symbol;
export type Cursor = string & { readonly [brand]: 'Cursor' };

/** Digits without leading zeros, as many as a bigint can have. */
const FORM = /^(0|[1-9]\d{0,18})$/;

/** Read a cursor that the server sent; null if it is absent (an SSE id is "" then) or not one of ours. */
export function parseCursor(text: unknown): Cursor | null {
  return typeof text === 'string' && FORM.test(text) ? (text as Cursor) : null;
}

/** Tell whether a cursor was reached no later than another. */
export function isAtOrBefore(cursor: Cursor, other: Cursor): boolean {
  return compare(cursor, other) <= 0;
}

/** The cursor that was reached first; null if there is none. */
export function earliest(cursors: readonly [Cursor, ...Cursor[]]): Cursor;
export function earliest(cursors: readonly Cursor[]): Cursor | null;
export function earliest(cursors: readonly Cursor[]): Cursor | null {
  return cursors.reduce<Cursor | null>(
    (first, cursor) => (first && isAtOrBefore(first, cursor) ? first : cursor),
    null,
  );
}

/** The cursor that was reached last; null if there is none. */
export function latest(cursors: readonly Cursor[]): Cursor | null {
  return cursors.reduce<Cursor | null>((last, cursor) => (last && isAtOrBefore(cursor, last) ? last : cursor), null);
}

/** Longer is later, because FORM allows no leading zeros. Numbers would lose the last digits of a bigint. */
function compare(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

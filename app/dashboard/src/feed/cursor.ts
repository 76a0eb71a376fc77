/**
 * Cursor: how far a reader has come in the change log, as the server wrote it.
 *
 * Invariant: a cursor is opaque text. Any code may keep it, send it back and compare two for equality; none may
 * calculate with it or order it. Only this file looks inside: the readers of a browser share one stream although their
 * snapshots were read at different cursors, so something must know what each has seen. It ships with the server whose
 * cursors it reads; other clients do not.
 *
 * What it sees there is a set of changes: all up to an id, and perhaps a few beyond: `4711,4713,4715-4717`. A snapshot
 * sees changes that get their ids after others have got lower ones.
 */
declare const brand: unique symbol;
export type Cursor = string & { readonly [brand]: 'Cursor' };

/** Digits without leading zeros, as many as a bigint can have; then ids, or ranges of them. */
const FORM = /^(0|[1-9]\d{0,18})(,\d+(-\d+)?)*$/;

/** From one id to another. A cursor is a list of these, the first of which starts at 0. */
type Range = readonly [bigint, bigint];

/** Read a cursor that the server sent; null if it is absent (an SSE id is "" then) or not one of ours. */
export function parseCursor(text: unknown): Cursor | null {
  return typeof text === 'string' && FORM.test(text) ? (text as Cursor) : null;
}

/** Tell whether all that one cursor has seen, another has seen, too. */
export function isAtOrBefore(cursor: Cursor, other: Cursor): boolean {
  return common(cursor, other) === cursor;
}

/** Tell whether a cursor has seen the change of this id. */
export function hasSeen(cursor: Cursor, id: number): boolean {
  return isAtOrBefore(`0,${id}` as Cursor, cursor);
}

/** The cursor that has seen what any of these has; null if there is none. */
export function together(cursors: readonly [Cursor, ...Cursor[]]): Cursor;
export function together(cursors: readonly Cursor[]): Cursor | null;
export function together(cursors: readonly Cursor[]): Cursor | null {
  const joined: [bigint, bigint][] = [];
  for (const [first, last] of cursors.flatMap(rangesOf).sort(([a], [b]) => Number(a - b))) {
    const before = joined.at(-1);
    if (!before || first > before[1] + 1n) joined.push([first, last]);
    else if (last > before[1]) before[1] = last;
  }
  return cursors[0] ? textOf(joined) : null;
}

/** The cursor that has seen what all have, and no more; null if there is none. */
export function earliest(cursors: readonly [Cursor, ...Cursor[]]): Cursor;
export function earliest(cursors: readonly Cursor[]): Cursor | null;
export function earliest(cursors: readonly Cursor[]): Cursor | null {
  return cursors.reduce<Cursor | null>((first, cursor) => common(first ?? cursor, cursor), null);
}

function common(cursor: Cursor, other: Cursor): Cursor {
  return textOf(
    rangesOf(cursor).flatMap(([first, last]) =>
      rangesOf(other)
        .map(([start, end]): Range => [first > start ? first : start, last < end ? last : end])
        .filter(([from, to]) => from <= to),
    ),
  );
}

/** Bigints, because numbers would lose the last digits of an id. */
function rangesOf(cursor: Cursor): Range[] {
  return cursor.split(',').map((part, place): Range => {
    const [first, last = first] = part.split('-').map(BigInt) as [bigint, bigint?];
    return [place ? first : 0n, last];
  });
}

function textOf(ranges: readonly Range[]): Cursor {
  return ranges.map(([first, last]) => (first && first < last ? `${first}-${last}` : last)).join() as Cursor;
}

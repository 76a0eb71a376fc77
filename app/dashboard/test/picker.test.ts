// @vitest-environment happy-dom
/** How many sessions are put into groups by their names. */
import { expect, test } from 'vitest';
import { grouped } from '../src/components/SessionPicker';

test('names with a beginning in common are a group, and those that stand alone come last', () => {
  const names = ['Level 10', 'Hall', 'Tower A / Door 1', 'Level 2', 'Tower A / Gate', 'Tower B - Door'];
  const groups = grouped(names.map((name) => ({ id: name, session_name: name })));
  expect([...groups].map(([name, rows]) => [name, rows.map((row) => row.session_name)])).toEqual([
    ['Level', ['Level 2', 'Level 10']],
    ['Tower A', ['Tower A / Door 1', 'Tower A / Gate']],
    ['', ['Hall', 'Tower B - Door']],
  ]);
});

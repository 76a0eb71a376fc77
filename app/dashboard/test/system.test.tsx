// @vitest-environment happy-dom
/** The System page's questions: how often they are asked, and for whom. */
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { useWorkers } from '../src/api/system';

let asked: number;
let root: Root;

function Page() {
  return <p>{useWorkers().value?.workers.length}</p>;
}

beforeEach(async () => {
  asked = 0;
  vi.useFakeTimers();
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.stubGlobal('fetch', async () => {
    asked += 1;
    return Response.json({ workers: [], trigger_cost: null });
  });
  root = createRoot(document.createElement('div'));
  await act(async () => root.render(<Page />));
});
afterEach(async () => {
  await act(async () => root.unmount());
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

async function show(hidden: boolean) {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(hidden);
  await act(async () => void document.dispatchEvent(new Event('visibilitychange')));
}

test('asks every ten seconds, also where the clock falls behind the timer', async () => {
  expect(asked).toBe(1);
  for (const times of [2, 3, 4]) {
    vi.setSystemTime(Date.now() - 1);
    await pass(10_000);
    expect(asked).toBe(times);
  }
});

test('asks nothing while nobody looks, at once when somebody does, and no sooner than ten seconds after that', async () => {
  await show(true);
  await pass(35_000);
  expect(asked).toBe(1);
  await show(false);
  expect(asked).toBe(2);
  await pass(9_999);
  expect(asked).toBe(2);
  await pass(1);
  expect(asked).toBe(3);
  await show(true);
  await show(false);
  expect(asked).toBe(3);
});

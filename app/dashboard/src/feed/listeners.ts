/**
 * Listeners: functions that are called back.
 *
 * Invariant: one that throws keeps nobody else from being called. Its exception is reported as an uncaught one is, and
 * nothing else comes of it.
 */
export class Listeners<A extends unknown[] = []> {
  readonly #all = new Set<(...values: A) => void>();

  get size(): number {
    return this.#all.size;
  }

  /** Call back from now on; returns a function that stops, and tells whether it had not before. */
  readonly add = (listener: (...values: A) => void): (() => boolean) => {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  };

  call(...values: A): void {
    for (const listener of [...this.#all]) attempt(() => listener(...values));
  }
}

/** Run code that belongs to somebody else. */
export function attempt(task: () => void): void {
  try {
    task();
  } catch (error) {
    report(error);
  }
}

export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}

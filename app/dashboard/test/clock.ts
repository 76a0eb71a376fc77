/** A clock that moves only when told. Tasks run in order, and promises settle between them. */
export class Clock {
  now = 1_760_000_000_000;
  #tasks: { at: number; order: number; task: () => void }[] = [];
  #order = 0;

  later(milliseconds: number, task: () => void): () => void {
    const entry = { at: this.now + Math.max(0, milliseconds), order: this.#order++, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }

  async advance(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds;
    await settle();
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#tasks = this.#tasks.filter((other) => other !== next);
      this.now = next.at;
      next.task();
      await settle();
    }
    this.now = until;
  }

  #next(until: number) {
    let first: { at: number; order: number; task: () => void } | undefined;
    for (const entry of this.#tasks) {
      if (
        entry.at <= until &&
        (!first || entry.at < first.at || (entry.at === first.at && entry.order < first.order))
      ) {
        first = entry;
      }
    }
    return first;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
}

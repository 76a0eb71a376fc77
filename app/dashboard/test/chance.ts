/** A seeded random generator (mulberry32): the same seed gives the same run. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Numbers near one half, no two alike: nothing fails by chance, and each tab has its own name. */
export function calm(): () => number {
  let drawn = 0;
  return () => 0.5 + drawn++ / 1e9;
}

/** Storage: what this browser keeps from one visit to the next. Where site data is blocked it keeps nothing. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(name); // the name `localStorage` alone may throw
  } catch {
    return null;
  }
}

/** Callers hold the value themselves until the page is left. */
export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // blocked, or full
  }
}

/**
 * Readout: what a chart says of the moment under the pointer or the keyboard's cursor: the time, and every line's value.
 *
 * Invariant: it lies over the chart and takes no room, so that nothing moves while one looks.
 */
export interface Value {
  label: string;
  color: string;
  text: string;
}

/** Beside the moment, on the side with more room. `at` and `width` are pixels of the plot, `left` is where it begins. */
export function showReadout(
  box: HTMLElement,
  time: string,
  values: readonly Value[],
  place: { at: number; width: number; left: number },
): void {
  const head = document.createElement('caption');
  head.textContent = time;
  const rows = values.map(({ label, color, text }) => {
    const row = document.createElement('tr');
    const name = document.createElement('th');
    const swatch = document.createElement('i');
    swatch.style.background = color;
    name.append(swatch, label);
    const value = document.createElement('td');
    value.textContent = text;
    row.append(name, value);
    return row;
  });
  const table = document.createElement('table');
  table.append(head, ...rows);
  box.replaceChildren(table);
  box.hidden = false;
  // Many lines are higher than what is left of the window.
  box.style.top = '';
  const below = box.getBoundingClientRect().bottom + 8 - innerHeight;
  if (below > 0) box.style.top = `${box.offsetTop - below}px`;
  const before = place.at > place.width / 2;
  box.style.left = before ? 'auto' : `${place.left + place.at + 12}px`;
  box.style.right = before ? `calc(100% - ${place.left + place.at - 12}px)` : 'auto';
}

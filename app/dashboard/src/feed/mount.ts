/**
 * Mount: the path of the site that the dashboard and its feed are mounted below, such as "/people"; "" at its root.
 *
 * Invariant: every address that the dashboard links to or asks for is made here. Pages of others, which use the hooks
 * alone, are mounted nowhere: for them it stays "", and `base` says where the feed is.
 */
let prefix = '';

/** To be called before anything is rendered. */
export function mountBelow(path: string): void {
  prefix = path;
}

/** The address of a path of the feed: "/sessions" is "/people/sessions". */
export function at(path: string): string {
  return prefix + path;
}

/** The path of the feed that an address of this site names; the reverse of `at`. */
export function pathOf(address: string): string {
  return (address.startsWith(prefix) ? address.slice(prefix.length) : address) || '/';
}

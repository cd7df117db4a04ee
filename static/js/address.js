/** What of a page's address is its own: read, and written without a trace in the history. */

/** The value of a parameter of the page's address; "" when there is none. */
export const asked = (name) => new URLSearchParams(location.search).get(name) ?? "";

/** The page's address with parameters set, or left away where the value is "". */
export function addressWith(values) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === "") address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  return address;
}

/** Have the address say what is on view, so that it opens there again. */
export function keep(values) {
  const address = addressWith(values);
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

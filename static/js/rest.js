/** Reading REST with the page's session, again and again while the page is seen. */

/** The document at an address below /api/; throws what the site says when it is no success. */
export async function read(path) {
  const answer = await fetch(`/api/${path}`, { headers: { accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the site answered ${answer.status}`);
  return body;
}

/**
 * Call `step` every `millis`, one after the other, while the page is visible. It stops when `step` returns false.
 * @param {() => Promise<boolean|void>} step
 * @param {(error: Error) => void} failed told of each failure; the next try comes in its turn
 */
export function repeat(step, millis, failed) {
  let timer = 0;
  async function turn() {
    let goOn = true;
    if (!document.hidden) {
      try {
        goOn = (await step()) !== false;
      } catch (error) {
        failed(error);
      }
    }
    if (goOn) timer = setTimeout(turn, millis);
  }
  turn();
  return () => clearTimeout(timer);
}

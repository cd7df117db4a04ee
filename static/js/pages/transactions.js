/** The transactions pages: the preview under the form; everything else is htmx and links. */

import { startTransfer } from "../parts/transfer.js";

/** @param {{store: import("../store.js").Store}} shell */
export function start({ store }) {
  const transfer = startTransfer();
  store.subscribe((view) => {
    if (view.run) transfer(view);
  });
}

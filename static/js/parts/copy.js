/** Copy buttons: each copies the text of the `pre` in its figure. */

import { findAll, text } from "../dom.js";
import { toast } from "./toasts.js";

const DONE_MS = 1_500;

export function startCopy(root = document) {
  for (const button of findAll("[data-copy][hidden]", root)) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.closest("figure").querySelector("pre").textContent;
      try {
        await navigator.clipboard.writeText(code);
      } catch (error) {
        toast(`The browser did not let the page copy: ${error.message}. Select the text and copy it by hand.`, "bad");
        return;
      }
      text(button, "Copied");
      setTimeout(() => text(button, "Copy"), DONE_MS);
    });
  }
}

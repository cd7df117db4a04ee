/** The form that exports a recording: its stretch follows the moment on view; short ones can be copied. */

import { find, make, show, text } from "../dom.js";
import { count } from "../format.js";

const SECOND_US = 1_000_000;

/** The times that a choice of the form stands for, around a moment: `[from, to]`, or null for all. */
export function spanOf(choice, clock) {
  if (choice === "") return null;
  const [before, after] = choice.split(" ").map(Number);
  return [Math.round(clock - before * SECOND_US), Math.round(clock + after * SECOND_US)];
}

/** @param {import("../store.js").Store} store */
export function startExports(store) {
  const form = find("[data-export]");
  if (!form) return;
  const said = find("[data-export-said]");

  function fill() {
    const span = spanOf(find("[data-export-span]").value, store.timeline?.clock ?? 0);
    for (const [index, name] of ["from", "to"].entries()) {
      form.elements[name].disabled = span === null;
      if (span) form.elements[name].value = String(Math.max(0, span[index]));
    }
  }

  async function made() {
    fill();
    text(said, "Making it");
    const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    return answer;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await made();
      const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))[1];
      const link = make("a", { href: URL.createObjectURL(await answer.blob()), download: name });
      link.click();
      URL.revokeObjectURL(link.href);
      text(said, `${name} is among your downloads.`);
    } catch (error) {
      text(said, `Not exported: ${error.message}`);
    }
  });
  const copy = find("[data-export-copy]");
  show(copy, true);
  copy.addEventListener("click", async () => {
    try {
      const body = await (await made()).text();
      await navigator.clipboard.writeText(body);
      text(said, `Copied, ${count(body.split("\n").length - 1)} lines.`);
    } catch (error) {
      text(said, `Not copied: ${error.message}`);
    }
  });
}

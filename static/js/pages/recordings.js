/** The list of recordings: uploads a file as it is, and says how far it is. */

import { find, show, text } from "../dom.js";

/** Send a file; resolves with the site's answer, decoded. */
function send(address, file, csrf, progressed) {
  return new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body has left.
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.setRequestHeader("Content-Type", file.name.endsWith(".gz") ? "application/gzip" : "application/x-ndjson");
    request.setRequestHeader("X-CSRFToken", csrf);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progressed(event.loaded / Math.max(1, event.total)));
    request.addEventListener("load", () => {
      if (request.status === 200) resolve(request.response);
      else reject(new Error(request.response?.detail ?? `the site answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the site cannot be reached")));
    request.send(file);
  });
}

export function start() {
  const form = find("[data-upload]");
  const button = find("button", form);
  const bar = find("progress", form);
  const said = find("[data-upload-said]");
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    if (!file) return;
    button.disabled = true;
    show(bar, true);
    text(said, `Sending ${file.name}`);
    try {
      const told = await send(form.action, file, form.elements.csrfmiddlewaretoken.value, (share) => {
        bar.value = share;
        if (share === 1) text(said, "It is there; every line is being checked");
      });
      location.assign(`/?recording=${encodeURIComponent(told.id)}`);
    } catch (error) {
      text(said, `Not taken in: ${error.message}`);
      show(bar, false);
      button.disabled = false;
    }
  });
}

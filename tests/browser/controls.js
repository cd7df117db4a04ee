/**
 * Runs in every page that a test opens, before the page's own scripts: tells which controls are seen, which are used.
 *
 * A control is what a visitor can act on: HTML's own, ARIA's, and any element that listens to clicks or keys itself.
 * It is told as "page place: name". All rows of a list are one place, so digits are told as #.
 */
(() => {
  if (window !== window.top) return;
  const EVERY_MS = 250;
  const CONTROLS = "button, input:not([type=hidden]), select, textarea, summary, a[href], canvas[tabindex], .term[tabindex], "
    + "[role=button], [role=switch], [role=tab], [role=slider], [role=option], [role=menuitem]";
  const PLACES = "section, dialog, nav, fieldset, .toasts";
  // They say in what state something is, not which control it is.
  const STATES = /^data-(state|role|lead|hue|cut|off|timed|term|live|tab|why|copy|location|f)$/;
  const seen = new Set();
  const used = new Set();
  const names = new WeakMap();
  const listening = new Set();

  const { addEventListener } = EventTarget.prototype;
  EventTarget.prototype.addEventListener = function listen(type, ...rest) {
    if (this instanceof Element && ["click", "keydown"].includes(type)) listening.add(this);
    return addEventListener.call(this, type, ...rest);
  };

  // Some listen for those within them: then those are the controls.
  const isWidget = (element) => listening.has(element) && !element.querySelector(CONTROLS) && !element.matches("form, main, body, ol, ul");
  const isControl = (element) => element instanceof Element && (element.matches(CONTROLS) || isWidget(element));
  const isVisible = (element) => element.checkVisibility({ visibilityProperty: true });
  const isOff = (element) => element.matches(":disabled, [aria-disabled=true]");

  const plain = (words) => (words ?? "").replace(/\s+/g, " ").trim().replace(/\b[\da-f]{16,}\b/g, "#").replace(/[\d.,]*\d/g, "#");
  const address = (path) => path.split("/").map((part) => (/\d/.test(part) ? "<id>" : part)).join("/");

  /** What a button says before any colon, behind which it tells of the moment; in a row without what names the row. */
  function said(element) {
    const copy = element.cloneNode(true);
    const isRow = element.closest("main tr, main li") !== null;
    if (isRow && copy.textContent.trim()) copy.querySelectorAll(".unseen").forEach((part) => part.remove());
    const words = (!isRow && element.getAttribute("aria-label")) || copy.textContent.trim() || element.title;
    return plain(words).split(":")[0].slice(0, 60);
  }

  function fieldName(element) {
    const isChoice = element.type === "checkbox" && element.value !== "on";
    return `${element.localName === "select" ? "choice" : "field"} ${element.name}${isChoice ? `=${plain(element.value)}` : ""}`;
  }

  function linkName(element) {
    if (element.closest("#experiments")) return "link to the experiment";
    const { pathname, hash, origin } = new URL(element.href);
    const isHere = element.getAttribute("href").startsWith("#");
    const to = origin === location.origin ? `${isHere ? "" : address(pathname)}${plain(hash)}` : origin;
    return `link to ${to}${element.matches(".button") ? ` “${said(element)}”` : ""}`;
  }

  function dataName(element) {
    const own = element.getAttributeNames().find((name) => name.startsWith("data-") && !STATES.test(name));
    return own && `${own.slice(5)}${element.getAttribute(own) ? `=${plain(element.getAttribute(own)).split(" ")[0]}` : ""}`;
  }

  function nameOf(element) {
    if (element.matches(".term")) return "a word with its meaning";
    if (element.matches("[data-why]")) return `Why? of a ${element.dataset.why.split(" ")[0]}`;
    if (element.matches("[data-copy]")) return `Copy ${element.closest("figure").querySelector(".label").textContent}`;
    if (element.matches(".u-over")) return "plot";
    if (element.matches("tr")) return "row";
    if (element.matches("[data-title]")) return `${element.dataset.title} of the plot`;
    if (element.name && !element.matches("button, a")) return fieldName(element);
    const own = dataName(element);
    if (own) return `${element.localName} ${own}`;
    return element.matches("a[href]") ? linkName(element) : `${element.localName} “${said(element)}”`;
  }

  function placeOf(element) {
    const place = element.matches(".term") ? null : element.parentElement?.closest(PLACES);
    const name = place && (place.id || place.getAttribute("aria-labelledby") || place.getAttribute("aria-label") || "");
    return plain(name).replace(/-title$/, "");
  }

  /** The frame around the pages is the same everywhere, but for the time bar, with which each page does what is its own. */
  function pageOf(element) {
    const { page } = document.body.dataset;
    if (!element.closest("main, #timebar") || element.matches(".term")) return "frame";
    if (page === "error") return "a page that is not there";
    // A form that is sent there comes back, with what was wrong, on the page it stands on.
    return page === "lab-verify" ? "/lab/" : address(location.pathname);
  }

  function keyOf(element) {
    if (!names.has(element)) names.set(element, `${[pageOf(element), placeOf(element)].join(" ").trim()}: ${nameOf(element)}`);
    return names.get(element);
  }

  /** The list of shortcuts names each: "g c" is one, "," and "." are two. */
  function shortcuts() {
    return [...document.querySelectorAll("#keys dt")].flatMap((line) => {
      const keys = [...line.querySelectorAll("kbd")].map((key) => key.textContent);
      return (keys[0] === "g" ? [keys.join(" ")] : keys).map((words) => `frame shortcuts: ${words}`);
    });
  }

  function tell(kept, told, key) {
    if (kept.has(key)) return;
    kept.add(key);
    window.tellOfControl(told, key);
  }

  /** Pages of others, such as the documentation of REST, are not asked. */
  const isOurs = () => document.body?.dataset.page !== undefined;

  function look() {
    // Before all of the page has come a control may lack its words.
    if (!isOurs() || document.readyState === "loading") return;
    for (const element of listening) if (!element.isConnected) listening.delete(element);
    for (const element of new Set([...document.querySelectorAll(CONTROLS), ...[...listening].filter(isWidget)])) {
      const isKnown = names.has(element) && seen.has(names.get(element));
      if (!isKnown && !isOff(element) && isVisible(element)) tell(seen, "seen", keyOf(element));
    }
    if (document.querySelector("#live:not([hidden])")) shortcuts().forEach((key) => tell(seen, "seen", key));
  }

  function use(event) {
    if (!isOurs()) return;
    look();
    const element = event.composedPath().find(isControl);
    if (element) tell(used, "used", keyOf(element));
  }

  let before = "";
  function press({ isTrusted, key, target }) {
    if (!isTrusted || !isOurs() || target.closest?.("input:not([type=range]), select, textarea")) return;
    const name = { " ": "Space", Escape: "Esc", l: "L" }[key] ?? key;
    const pressed = `frame shortcuts: ${before === "g" ? "g " : ""}${name}`;
    before = name;
    if (shortcuts().includes(pressed)) tell(used, "used", pressed);
  }

  // Scripts of the pages make clicks, but never a change; the driver makes its changes by script.
  const watch = (type, isUse) => addEventListener.call(window, type, (event) => isUse(event) && use(event), { capture: true });
  const isKeyed = ({ isTrusted, key, target }) => isTrusted && !["Tab", "Escape", "Shift"].includes(key)
    && target instanceof Element && !target.matches("input:not([type=range]), select, textarea, button, a, summary");
  watch("click", (event) => event.isTrusted);
  watch("input", () => true);
  watch("change", () => true);
  watch("keydown", isKeyed);
  addEventListener.call(window, "keydown", press, { capture: true });
  watch("focusin", ({ target }) => target instanceof Element && target.matches(".term"));
  setInterval(look, EVERY_MS);
  addEventListener.call(window, "DOMContentLoaded", look);
  addEventListener.call(window, "pagehide", look);
  window.lookForControls = look;
})();

/** The few things every part does to the document. Writes happen only where something differs. */

export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Set an element's text if it is another one. A missing element is left alone. */
export function text(element, value) {
  const wanted = String(value);
  if (element && element.textContent !== wanted) element.textContent = wanted;
}

/** Set an attribute, or take it away for null and false. */
export function attribute(element, name, value) {
  if (!element) return;
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

export function show(element, visible) {
  if (element && element.hidden === visible) element.hidden = !visible;
}

/** Elements under `root` by their `data-f` name. */
export function fields(root) {
  return Object.fromEntries(findAll("[data-f]", root).map((element) => [element.dataset.f, element]));
}

/** An element with a class, attributes and children (text or elements). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The same of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An icon of the sprite. */
export const icon = (name) =>
  svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: iconAddress(name) }));

export const iconAddress = (name) => `${document.body.dataset.icons}#${name}`;

/** The colour that a custom property stands for under the present theme. */
export function colour(name, root = document.body) {
  const probe = make("span", { hidden: "" });
  probe.style.color = `var(${name})`;
  root.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

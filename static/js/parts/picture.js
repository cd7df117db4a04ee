/**
 * A picture (PNG) of what a page shows, made in the browser: the elements are copied with their computed styles into an
 * SVG, canvases as images of themselves, icons out of the sprite, and the SVG is drawn on a canvas.
 */

import { colour, find, findAll, make } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** Browsers draw no larger canvas; a longer page is cut. */
const SIDE_MAX = 16_000;
const MARGIN = 16;
/** What is not part of the view: controls that do nothing on paper. */
const LEFT_OUT = "script, [hidden], .unseen, dialog";
const KEPT_ATTRIBUTES = ["type", "placeholder", "colspan", "rowspan", "start", "open", "max", "checked"];
const LEFT_ATTRIBUTES = /^(class|style|href|id|tabindex|role|aria-.*|data-.*|xmlns.*|on.*)$/;
/** Styles that are copied; what is not here does not show in these pages. */
const STYLES = [
  "display", "position", "inset", "z-index", "float", "box-sizing", "width", "height", "min-width", "min-height", "max-width",
  "max-height", "margin", "padding", "border-top", "border-right", "border-bottom", "border-left", "border-radius",
  "border-collapse", "border-spacing", "outline", "background-color", "box-shadow", "opacity", "overflow", "visibility", "color",
  "font-family", "font-size", "font-weight", "font-style", "font-variant-numeric", "line-height", "letter-spacing",
  "text-align", "text-decoration", "text-transform", "text-overflow", "white-space", "overflow-wrap", "vertical-align",
  "flex", "flex-direction", "flex-wrap", "order", "align-items", "align-self", "align-content", "justify-content",
  "justify-items", "justify-self", "gap", "grid-template-columns", "grid-template-rows", "grid-column", "grid-row",
  "grid-auto-flow", "list-style", "transform", "transform-origin", "clip-path", "accent-color", "fill", "stroke", "stroke-width",
  "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "text-anchor", "dominant-baseline", "paint-order", "fill-opacity",
  "stroke-opacity", "vector-effect", "writing-mode",
];

const NAMES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
// What XML has no place for goes; everything else is escaped.
const escaped = (words) => words.replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "").replace(/[&<>"]/g, (sign) => NAMES[sign]);

/**
 * An element as XML that looks the same anywhere. Text, not nodes: the pages' policy lets no script set a style attribute,
 * and in an image it does not hold.
 */
function written(element, icons) {
  if (element.matches(LEFT_OUT)) return "";
  if (element instanceof SVGUseElement) return iconOf(element, icons);
  const style = `style="${escaped(styleOf(element))}"`;
  if (element instanceof HTMLCanvasElement) return `<img ${style} alt="" src="${imageOf(element)}" />`;
  const { localName } = element;
  if (localName === "select") return `<span ${style}>${escaped(element.selectedOptions[0]?.label ?? "")}</span>`;
  const children = [...element.childNodes].map((child) => {
    if (child.nodeType === Node.TEXT_NODE) return escaped(child.data);
    return child.nodeType === Node.ELEMENT_NODE ? written(child, icons) : "";
  });
  const inside = [pseudo(element, "::before"), ...children, pseudo(element, "::after")].join("");
  return `<${localName} ${attributesOf(element)} ${style}>${inside}</${localName}>`;
}

/** What style sheets put before or after an element's content. */
function pseudo(element, which) {
  const style = getComputedStyle(element, which);
  if (style.content === "none" || style.content === "normal") return "";
  const words = /^"(.*)"$/s.exec(style.content)?.[1] ?? "";
  return `<span style="${escaped(styles(style))}">${escaped(words)}</span>`;
}

function attributesOf(element) {
  const names = element instanceof SVGElement ? element.getAttributeNames().filter((name) => !LEFT_ATTRIBUTES.test(name)) : KEPT_ATTRIBUTES;
  const pairs = names.filter((name) => element.hasAttribute(name)).map((name) => [name, element.getAttribute(name)]);
  if (element.localName === "input") pairs.push(["value", element.value]);
  if (element.localName === "svg") pairs.push(["xmlns", SVG]);
  return pairs.map(([name, value]) => `${name}="${escaped(value)}"`).join(" ");
}

const styleOf = (element) => styles(getComputedStyle(element));

/** No bars to scroll with: what lies outside of a box is not in the picture. */
function styles(style) {
  const value = (name) => style.getPropertyValue(name);
  return STYLES.map((name) => `${name}:${name === "overflow" ? value(name).replace(/auto|scroll/g, "hidden") : value(name)}`).join(";");
}

const imageOf = (canvas) => (canvas.width && canvas.height ? canvas.toDataURL() : "data:,");

/** The drawing that a `use` stands for: an image may not fetch the sprite. */
function iconOf(use, icons) {
  const symbol = icons.get(use.getAttribute("href")?.split("#")[1]);
  if (!symbol) return "";
  return `<svg xmlns="${SVG}" viewBox="${symbol.getAttribute("viewBox")}">${symbol.innerHTML}</svg>`;
}

async function sprite() {
  const answer = await fetch(document.body.dataset.icons);
  const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
  return new Map([...parsed.querySelectorAll("symbol")].map((symbol) => [symbol.id, symbol]));
}

/** The page's fonts, as an image may not fetch them either: the same letters, the same line breaks. */
async function fonts() {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules].map((rule) => [rule, sheet.href]));
  const faces = rules.filter(([rule]) => rule instanceof CSSFontFaceRule);
  return Promise.all(faces.map(async ([rule, href]) => {
    const source = new URL(/url\("?([^")]+)"?\)/.exec(rule.style.getPropertyValue("src"))[1], href);
    const bytes = new Uint8Array(await (await fetch(source)).arrayBuffer());
    const packed = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const told = ["font-family", "font-style", "font-weight"].map((name) => `${name}:${rule.style.getPropertyValue(name)}`);
    return `@font-face{${told.join(";")};src:url(data:font/woff2;base64,${packed})}`;
  }));
}

/** The SVG of an element, at its size on the page. */
async function drawing(element) {
  const box = element.getBoundingClientRect();
  const width = Math.ceil(box.width) + 2 * MARGIN;
  const height = Math.min(SIDE_MAX, Math.ceil(element.scrollHeight) + 2 * MARGIN);
  const frame = `padding:${MARGIN}px;width:${width}px;box-sizing:border-box`;
  const faces = (await fonts()).join("");
  const text = `<svg xmlns="${SVG}" width="${width}" height="${height}"><style>${faces}</style><foreignObject width="100%" height="100%">`
    + `<div xmlns="http://www.w3.org/1999/xhtml" style="${frame}">${written(element, await sprite())}</div></foreignObject></svg>`;
  return { text, width, height };
}

function loaded(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("the browser did not draw the page"));
    image.src = source;
  });
}

/** A canvas with the picture of an element on the page's ground. */
export async function pictured(element, ratio = Math.min(window.devicePixelRatio || 1, 2)) {
  const { text, width, height } = await drawing(element);
  // The policy of the pages takes images from data addresses, not from blobs.
  const image = await loaded(`data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`);
  const scale = Math.min(ratio, SIDE_MAX / height, SIDE_MAX / width);
  const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--bg");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Let the visitor keep a picture of the view: what the page marks as such, or all of its content. */
export async function savePicture(name) {
  const marked = findAll("[data-picture]").filter((element) => element.checkVisibility());
  const canvas = await pictured(marked.length === 1 ? marked[0] : find("main"));
  const blob = await new Promise((resolve) => {
    canvas.toBlob(resolve);
  });
  const link = make("a", { href: URL.createObjectURL(blob), download: `${name}.png` });
  link.click();
  URL.revokeObjectURL(link.href);
}

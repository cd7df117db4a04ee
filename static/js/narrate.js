/** One sentence per notable event; twin of consensus/trace/narrate.py over the same sentences.json. */

const FIELD = /\{(\w+)\}/g;
/** Fields that are lists, and what stands before each of their parts; any other list is a ballot. */
const LISTS = { accounts: "", again: "", has: "", quorum: "n" };
const LIST_MAX = 8;
const PLAN_CHARS = 8;
export const LEVELS = ["plain", "course", "paper"];
/** Where a text of another level puts the plain sentence. */
const PLAIN = "plain";
const ONE_DECIMAL = new Set(["ms", "since_ms"]);

/**
 * @param {object} sentences the parsed sentences.json
 * @returns {(event: object, level?: string) => string | null} null for a kind that people are not told of
 */
export function narrator(sentences) {
  return (event, level = "plain") => {
    const kind = sentences.kinds[event.k];
    if (!kind) return null;
    const fields = derived(event);
    const said = (variants) => {
      const variant = variants.find((candidate) => fits(candidate, fields));
      return variant
        ? variant.text.replace(FIELD, (_, name) => textOf(sentences.words, name, fields[name]))
        : null;
    };
    const plain = said(kind.plain);
    if (level === "plain" || plain === null) return plain;
    fields[PLAIN] = plain;
    return said(kind[level] ?? []) ?? plain;
  };
}

/** Whether an event stands in lists of what happened; of the others there are too many. */
export function notability(sentences) {
  const steps = new Set(sentences.steps);
  return (event) => event.k in sentences.kinds && !steps.has(event.k);
}

function derived(event) {
  if (event.k === "paxos.ballot") return { ...event, own: event.b[1] === event.n };
  if (event.k === "ctl") return { ...event, target: event.args?.node };
  return { ...event };
}

function fits(variant, fields) {
  for (const [name, value] of Object.entries(variant.if ?? {})) {
    if (fields[name] !== value) return false;
  }
  return (variant.has ?? []).every((name) => !isEmpty(fields[name]));
}

function isEmpty(value) {
  return value === undefined || value === null || value === "" || value === 0 || value?.length === 0;
}

function textOf(words, name, value) {
  if (ONE_DECIMAL.has(name)) return value.toFixed(1);
  if (name in LISTS) {
    const more = value.length > LIST_MAX ? ` and ${value.length - LIST_MAX} more` : "";
    return value.slice(0, LIST_MAX).map((part) => `${LISTS[name]}${part}`).join(", ") + more;
  }
  if (name === "plan") return value.slice(0, PLAN_CHARS);
  if (name === PLAIN) return value;
  if (Array.isArray(value)) return `(${value.join(",")})`;
  const text = String(value);
  return words[text] ?? text;
}

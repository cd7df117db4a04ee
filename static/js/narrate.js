/** One sentence per notable event; twin of consensus/trace/narrate.py over the same sentences.json. */

const FIELD = /\{(\w+)\}/g;
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
    const variant = (kind[level] ?? kind.plain).find((candidate) => fits(candidate, fields));
    return variant
      ? variant.text.replace(FIELD, (_, name) => textOf(sentences.words, name, fields[name]))
      : null;
  };
}

function derived(event) {
  if (event.k === "paxos.ballot") return { ...event, own: event.b[1] === event.n };
  if (event.k === "ctl") return { ...event, target: event.args?.node };
  return event;
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
  if (name === "accounts") return value.join(", ");
  if (Array.isArray(value)) return `(${value.join(",")})`;
  const text = String(value);
  return words[text] ?? text;
}

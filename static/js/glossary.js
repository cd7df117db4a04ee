/** Finds the glossary's terms in a text. Pure; parts/terms.js shows their definitions. */

/**
 * @param {{terms: Record<string, string>, marked: Record<string, string>}} glossary `marked`: words that stand for a term
 * @returns {(text: string) => ({text: string} | {text: string, term: string})[]} the text in pieces
 */
export function termFinder({ marked }) {
  const words = Object.keys(marked).sort((a, b) => b.length - a.length);
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\w-])(${escaped.join("|")})(?![\\w-])`, "gi");
  return (text) => {
    const pieces = [];
    let from = 0;
    for (const match of text.matchAll(pattern)) {
      if (match.index > from) pieces.push({ text: text.slice(from, match.index) });
      pieces.push({ text: match[0], term: marked[match[0].toLowerCase()] });
      from = match.index + match[0].length;
    }
    if (from < text.length) pieces.push({ text: text.slice(from) });
    return pieces;
  };
}

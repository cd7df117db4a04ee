/** A state being written: parts are copied once, before their first change. Twin of consensus/trace/draft.py. */

export class Draft {
  constructor(state) {
    this.state = { ...state };
    this.copies = new Set();
  }

  /** The map or list at `key` of one that may be written to itself, writable; undefined when there is none. */
  own(holder, key) {
    const value = holder[key];
    if (value === undefined || this.copies.has(value)) return value;
    const copy = Array.isArray(value) ? value.slice() : { ...value };
    this.copies.add(copy);
    return (holder[key] = copy);
  }

  /** A top-level map or list that may be written to. */
  part(name) {
    return this.own(this.state, name);
  }

  /** The map under `key` of the part `name`, writable; undefined when there is none. */
  entry(name, key) {
    return this.state[name][key] === undefined ? undefined : this.own(this.part(name), key);
  }

  /**
   * The map of a list of maps by time that begins at `fresh.ts`, writable. `fresh` is appended where that time is the
   * newest. Undefined when it is older than the last `back`.
   */
  row(name, fresh, limit, back) {
    const rows = this.state[name];
    if (rows.length === 0 || rows.at(-1).ts < fresh.ts) {
      this.push(name, fresh, limit);
      return this.own(this.part(name), this.state[name].length - 1);
    }
    for (let index = rows.length - 1; index >= Math.max(0, rows.length - back); index -= 1) {
      if (rows[index].ts === fresh.ts) return this.own(this.part(name), index);
    }
    return undefined;
  }

  /** Append to a list, letting its oldest entries go. */
  push(name, value, limit) {
    const items = this.part(name);
    items.push(value);
    if (items.length > limit) items.splice(0, items.length - limit);
  }
}

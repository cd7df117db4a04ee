/** The shard map: who owns which account, how busy it is, what moves; and accounts over time. */

import { historyAt } from "../busy.js";
import { attribute, find, text } from "../dom.js";
import { count } from "../format.js";
import { OwnersMap } from "../owners.js";
import { MoveList } from "../parts/movelist.js";
import { drawHistory, ShardMap } from "../parts/shardmap.js";
import { read, repeat } from "../rest.js";

const EVERY_MS = 1_000;

/** @param {{store: import("../store.js").Store, onTheme: (listener: () => void) => void}} shell */
export function start({ store, onTheme }) {
  const canvas = find("[data-map=canvas]");
  const map = new ShardMap(canvas, find("[data-map=cursor]"));
  canvas.addEventListener("click", () => {
    if (map.cursor !== null && map.map.per_cell === 1) location.assign(`/transactions/?account=${map.cursor + 1}`);
  });
  onTheme(() => map.draw());
  const moves = new MoveList(find("[data-moves=ends]"));
  const owners = new OwnersMap();
  let shown = null;
  const draw = (shards, about) => {
    shown = shards;
    const words = shards.clusters.map(({ id, accounts }) => `C${id} ${count(accounts)}`).join(", ");
    text(find("[data-map=legend]"), `${words}; ${about}`);
    attribute(canvas, "aria-label",
      `Map of ${count(shards.accounts)} accounts: ${words}. ${shards.moving.length} on their way. Arrow keys move the cursor.`);
    map.update(shards);
  };
  store.subscribe((view) => {
    if (!view.run) return;
    moves.update(view);
    if (!store.held) return;
    const then = owners.at(view);
    if (then === shown) return;
    draw(then, `at the moment on view${then.heat ? "; the stronger the colour, the busier its neighbourhood" : ""}`);
    drawHistory(find("[data-map=history]"), historyAt(view, then.accounts), then.accounts);
  });
  repeat(async () => {
    if (store.held) return;
    const shards = await read("shard-map/?cells=9000");
    const { history } = await read("access-stats/");
    // It may have been held meanwhile.
    if (!store.held) draw(shards, "the stronger the colour, the busier");
    drawHistory(find("[data-map=history]"), history, shards.accounts);
  }, EVERY_MS, (error) => text(find("[data-map=cursor]"), error.message));
}

import assert from "node:assert/strict";
import { test } from "node:test";

import { addressWith } from "../../static/js/address.js";
import { queryOf, titleOf } from "../../static/js/parts/recordedlist.js";

test("what the address asks for is asked of REST", () => {
  assert.equal(String(queryOf({ outcome: "", account: "", ambient: "" })), "limit=50");
  const all = queryOf({ outcome: "aborted", account: "21", ambient: "0" }, 400);
  assert.equal(String(all), "limit=50&outcome=aborted&account=21&ambient=false&before=400");
  assert.equal(String(queryOf({ outcome: "", account: "", ambient: "" }, 0)), "limit=50&before=0");
});

test("the address keeps what it names besides", (context) => {
  globalThis.location = { href: "http://bank/recordings/r/?t=5&tx=old&account=7", search: "" };
  context.after(() => delete globalThis.location);
  assert.equal(addressWith({ tx: "new" }).search, "?t=5&tx=new&account=7");
  assert.equal(addressWith({ tx: "", account: "" }).search, "?t=5");
});

test("a transfer is named by its parties, anything else by its id", () => {
  const row = { id: "ab-1", from: 1001, to: 7, amt: 2500, parties: 2, outcome: "committed" };
  assert.equal(titleOf(row), "2,500 from account 1001 to 7: committed");
  assert.equal(titleOf({ ...row, parties: 12 }), "Transaction ab-1: committed");
  assert.equal(titleOf({ ...row, from: 0, parties: 1, outcome: "unknown" }),
    "Transaction ab-1: no event says what became of it");
});

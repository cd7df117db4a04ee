import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Live, STALE_MS } from "../../static/js/live.js";

let sockets;
let timers;
let now;
let told;
let live;

class Socket {
  constructor(url) {
    this.url = url;
    this.sent = [];
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  say(frame) {
    this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
}

const key = { type: "key", q: 1, run: "r", state: {} };

beforeEach(() => {
  sockets = [];
  timers = [];
  now = 1_000;
  told = [];
  live = new Live("ws://bank/ws/live/", {
    key: (frame) => told.push(frame.type),
    frame: (frame) => told.push(frame.f),
    gap: (frame) => told.push(frame.type),
  }, { Socket, now: () => now, later: (callback, ms) => timers.push({ callback, ms }) });
  live.connect();
});

test("frames follow a key frame, and each is acknowledged", () => {
  const [socket] = sockets;
  assert.equal(live.status(), "waiting");
  socket.say(key);
  socket.say({ type: "frame", f: 7, events: [], dropped: 0 });
  socket.say({ type: "frame", f: 8, events: [], dropped: 0 });
  assert.deepEqual(told, ["key", 7, 8]);
  assert.deepEqual(socket.sent, [{ type: "ack", f: 7 }, { type: "ack", f: 8 }]);
  assert.equal(live.status(), "live");
});

test("frames before the key frame that follows a gap are not taken", () => {
  const [socket] = sockets;
  socket.say(key);
  socket.say({ type: "gap", from: 5, to: 9 });
  socket.say({ type: "frame", f: 9, events: [], dropped: 0 });
  assert.equal(live.status(), "waiting");
  socket.say(key);
  socket.say({ type: "frame", f: 10, events: [], dropped: 0 });
  assert.deepEqual(told, ["key", "gap", "key", 10]);
});

test("silence is told as stale, with its age", () => {
  sockets[0].say(key);
  now += STALE_MS + 1;
  assert.equal(live.status(), "stale");
  assert.equal(live.ageSeconds(), (STALE_MS + 1) / 1_000);
});

test("a lost connection is taken up again after growing pauses, and a key frame resets them", () => {
  for (const pause of [500, 1_000, 2_000, 4_000, 8_000, 8_000]) {
    sockets.at(-1).onclose({ code: 1006 });
    assert.equal(timers.at(-1).ms, pause);
    timers.at(-1).callback();
  }
  assert.equal(sockets.length, 7);
  sockets.at(-1).say(key);
  sockets.at(-1).onclose({ code: 1006 });
  assert.equal(timers.at(-1).ms, 500);
});

test("signed out is final", () => {
  sockets[0].onclose({ code: 4401 });
  assert.equal(live.status(), "signed-out");
  assert.equal(timers.length, 0);
});

test("what is not JSON starts the connection anew", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  sockets[0].say(key);
  sockets[0].say("{oops");
  assert.equal(warn.mock.callCount(), 1);
  assert.equal(sockets[0].closed, true);
  assert.equal(sockets.length, 2);
  sockets[0].say({ type: "frame", f: 1, events: [] });
  assert.deepEqual(told, ["key"]);
});

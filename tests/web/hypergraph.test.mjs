/** The picture of the hypergraph: who stands where, what is cut, before and after moves; colours of maps. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { columns } from "../../static/js/parts/coursechart.js";
import { cividis, shape, share, tinted } from "../../static/js/parts/heat.js";
import { cut, film, homesAfter, positions } from "../../static/js/parts/hypergraph.js";

const SNAPSHOT = {
  vertices: [[10, 1, 9], [20, 2, 8], [30, 2, 7], [40, 3, 1]],
  nets: [[5, 0, 1], [3, 1, 2], [2, 0, 2, 3]],
};
const MOVES = [[10, 1, 2], [77, 3, 1], [40, 3, 2]];

test("moves of accounts that are not shown are left out", () => {
  const made = film(SNAPSHOT, MOVES);
  assert.deepEqual(made.homes, [1, 2, 2, 3]);
  assert.deepEqual(made.moves, [{ place: 0, from: 1, to: 2, at: 1 }, { place: 3, from: 3, to: 2, at: 3 }]);
});

test("homes after so many moves, and what is cut then", () => {
  const made = film(SNAPSHOT, MOVES);
  assert.deepEqual(cut(SNAPSHOT.nets, homesAfter(made, 0)), { across: 7, all: 10 });
  assert.deepEqual(cut(SNAPSHOT.nets, homesAfter(made, 1)), { across: 2, all: 10 });
  assert.deepEqual(cut(SNAPSHOT.nets, homesAfter(made, 2)), { across: 0, all: 10 });
  assert.deepEqual(made.homes, [1, 2, 2, 3], "the film itself stays as it is");
});

test("the course is drawn as far as the moves are made, on an axis for all of them", () => {
  const course = [[0, 400, 1, 0], [5, 100, 4, 3], [9, 20, 2, 0]];
  assert.deepEqual(columns(course, 8), [[0, 5, 9], [100, 25, null], [1, 4, null], [0, 3, null]]);
  assert.deepEqual(columns(course, 9)[1], [100, 25, 5]);
  assert.deepEqual(columns([[0, 0, 0, 0]], 0), [[0], [0], [0], [0]]);
});

test("clusters stand apart, and all within the square", () => {
  const homes = Array.from({ length: 900 }, (_, i) => 1 + (i % 3));
  const at = positions(homes, [1, 2, 3]);
  for (const [x, y] of at) assert.ok(Math.hypot(x, y) <= 1);
  const centre = (cluster) => {
    const own = at.filter((_, i) => homes[i] === cluster);
    return [0, 1].map((axis) => own.reduce((sum, point) => sum + point[axis], 0) / own.length);
  };
  const far = Math.hypot(centre(1)[0] - centre(2)[0], centre(1)[1] - centre(2)[1]);
  const widest = Math.max(...at.filter((_, i) => homes[i] === 1)
    .map(([x, y]) => Math.hypot(x - centre(1)[0], y - centre(1)[1])));
  assert.ok(far > 2 * widest * 0.98, `${far} apart, ${widest} wide`);
});

test("one cluster stands in the middle", () => {
  const [[x, y]] = positions([4], [4]);
  assert.ok(Math.hypot(x, y) < 1);
});

test("heat is a share on a log scale, and a colour", () => {
  assert.equal(share(0, 100), 0);
  assert.equal(share(100, 100), 1);
  assert.ok(share(10, 100) > 0.5);
  assert.deepEqual(cividis(0), [0, 34, 78]);
  assert.deepEqual(cividis(1), [254, 232, 56]);
  assert.deepEqual(tinted([0, 100, 200], [255, 255, 255], 1), [0, 100, 200]);
  assert.ok(tinted([0, 100, 200], [255, 255, 255], 0)[0] > 150);
});

test("maps are about ten to six and have room for every cell", () => {
  for (const cells of [1, 7, 90, 9_000, 8_999]) {
    const { columns, rows } = shape(cells);
    assert.ok(columns * rows >= cells && columns * (rows - 1) < cells);
  }
  assert.deepEqual(shape(9_000), { columns: 123, rows: 74 });
});

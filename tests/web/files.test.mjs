/** What is true of the files the browser gets: vendored ones unmodified, scripts within their budget. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const vendor = join(root, "static/vendor");
const list = JSON.parse(readFileSync(join(vendor, "vendor.json"), "utf8"));
/** Bytes of gzipped script that a page may load, without Plotly. */
const SCRIPT_BYTES_MAX = 150 * 1024;

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

for (const { folder, version, licence, files } of list.packages) {
  test(`${folder} ${version} (${licence}) is as it was published`, () => {
    assert.match(version, /^\d+\.\d+\.\d+$/);
    assert.ok(files.some((file) => file.name === "LICENSE"), "its licence stands beside it");
    for (const { name, sha256 } of files) {
      const bytes = readFileSync(join(vendor, folder, name));
      assert.equal(createHash("sha256").update(bytes).digest("hex"), sha256, `${folder}/${name}`);
    }
  });
}

test("no file is vendored without being listed", () => {
  const listed = list.packages.flatMap(({ folder, files }) => files.map((file) => join(folder, file.name)));
  const there = filesUnder(vendor).map((path) => relative(vendor, path)).filter((path) => path !== "vendor.json");
  assert.deepEqual(there.toSorted(), listed.toSorted());
});

/** A module and all it imports, also dynamically. */
function closure(path, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  const source = readFileSync(path, "utf8");
  for (const [, target] of source.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    closure(join(dirname(path), target), seen);
  }
  return seen;
}

test("imports lead to files", () => {
  for (const path of filesUnder(join(root, "static/js")).filter((name) => name.endsWith(".js"))) {
    for (const imported of closure(path)) assert.ok(existsSync(imported), `${path} imports ${imported}`);
  }
});

for (const page of readdirSync(join(root, "static/js/pages"))) {
  test(`all scripts that ${page} may load stay within the budget, with what every page does`, () => {
    // The shell fetches a page's module, and what only a click needs, by the name in the import map.
    const own = ["shell.js", `pages/${page}`, "parts/picture.js"].map((name) => join(root, "static/js", name));
    const modules = new Set(own.flatMap((path) => [...closure(path)]));
    const libraries = ["htmx.org/htmx.min.js", "uplot/uPlot.iife.min.js"].map((name) => join(vendor, name));
    const data = ["sentences.json", "glossary.json"].map((name) => join(root, "static/js", name));
    const bytes = [...modules, ...libraries, ...data].reduce((sum, path) => sum + gzipSync(readFileSync(path)).length, 0);
    assert.ok(modules.size > 20, "the shell's modules are found");
    assert.ok(bytes <= SCRIPT_BYTES_MAX, `${bytes} bytes of gzipped script`);
  });
}

test("templates carry no inline style, no inline handler, no foreign address", () => {
  for (const path of filesUnder(join(root, "templates"))) {
    const source = readFileSync(path, "utf8");
    assert.doesNotMatch(source, /\sstyle=|<style|\son[a-z]+=|hx-on|javascript:/, path);
    assert.doesNotMatch(source, /(?:src|href)="(?:https?:)?\/\//, path);
  }
});

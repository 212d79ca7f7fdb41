// The tree of one problem: what is open, in one list; why each branch ended.

const SOLUTION = 1, ANSWERS = 2, LINE = 3;
const PRUNED = 1, CHOSEN = 2;
const ENDS = ["", "complete", "cut off by the token limit", "cut off by the budget", "cancelled", "failed"];
const OPEN_AT_ONCE = 150;
const tree = { data: null, kids: [], depth: [], place: [], open: new Set(), rows: [], at: -1, low: 0, high: 1, list: null };

// Arrange the data: children in their order, depths, the range of scores. `keep` keeps what is open and chosen.
function setTree(data, keep) {
  const count = data.parent.length;
  const before = keep ? { data: tree.data, kids: tree.kids, open: tree.open, at: tree.at } : null;
  tree.data = data;
  tree.kids = Array.from({ length: count + 1 }, () => null);
  tree.depth = new Int32Array(count);
  tree.place = new Int32Array(count);
  let low = 0, high = 1;
  for (let node = 0; node < count; node += 1) {
    const parent = data.parent[node];
    const siblings = tree.kids[parent + 1] || (tree.kids[parent + 1] = []);
    siblings.push(node);
    tree.place[node] = siblings.length;
    tree.depth[node] = parent < 0 ? 0 : tree.depth[parent] + 1;
    const value = data.value[node];
    if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  tree.low = low;
  tree.high = high;
  tree.at = -1;
  tree.open = new Set();
  for (let node = 0; node < count; node += 1) {
    const known = before && before.data.done === data.done && before.kids[node + 1];
    if (known || !children(node).length) continue;
    if (count <= OPEN_AT_ONCE || data.flags[node] & CHOSEN) tree.open.add(node);
  }
  if (before) keepOpen(before);
  flatten();
}

// Nodes are only added while a search runs; once it is done they may stand in another order, and are found by texts.
function keepOpen(before) {
  const same = before.data.done === tree.data.done;
  const cache = new Map([[-1, -1]]);
  const now = (node) => {
    if (same) return node < tree.data.parent.length ? node : -2;
    if (!cache.has(node)) {
      const parent = now(before.data.parent[node]);
      const text = sourceOf(before.data.text[node], before.data.math);
      const found = parent === -2 ? undefined :
        children(parent).find((child) => sourceOf(tree.data.text[child], tree.data.math) === text);
      cache.set(node, found === undefined ? -2 : found);
    }
    return cache.get(node);
  };
  for (const node of before.open) if (now(node) >= 0) tree.open.add(now(node));
  if (before.at >= 0) tree.at = Math.max(-1, now(before.at));
}

const children = (node) => tree.kids[node + 1] || [];

function flatten() {
  const rows = [];
  const stack = children(-1).slice().reverse();
  while (stack.length) {
    const node = stack.pop();
    rows.push(node);
    if (!tree.open.has(node)) continue;
    const below = children(node);
    for (let index = below.length - 1; index >= 0; index -= 1) stack.push(below[index]);
  }
  tree.rows = rows;
  tree.list.at = rows.indexOf(tree.at);
  tree.list.show(rows.length);
  byId("nodes").setAttribute("aria-rowcount", rows.length);
}

function ending(node) {
  const data = tree.data;
  const kind = data.kind[node];
  const leaf = !children(node).length;
  if (kind === ANSWERS || kind === LINE || !(leaf || kind === SOLUTION)) return "";
  const last = data.flags[node] & CHOSEN && !children(node).some((child) => data.flags[child] & CHOSEN);
  const end = ENDS[data.finish[node]];
  if (end) return end + (last ? " (the answer)" : "");
  if (data.flags[node] & PRUNED) return "pruned";
  return !leaf ? "" : data.done ? "never extended" : "open";
}

const share = (value) => (value - tree.low) / (tree.high - tree.low || 1);

// A score as number and bar: the bar's length and its colour say the same.
function score(value) {
  const element = make("span", "score");
  element.append(make("span", "digits", places(value, 3)));
  const bar = make("span", "bar");
  if (value !== null) {
    const fill = make("span", "fill tone" + Math.max(0, Math.min(6, Math.floor(share(value) * 7))));
    fill.style.width = `${Math.max(4, Math.min(100, 100 * share(value)))}%`;
    bar.append(fill);
  }
  element.append(bar);
  return element;
}

function nodeRow(place) {
  const node = tree.rows[place];
  const data = tree.data;
  const below = children(node).length;
  const element = make("div", "row node kind" + data.kind[node]);
  if (data.flags[node] & CHOSEN) element.classList.add("chosen");
  if (data.flags[node] & PRUNED) element.classList.add("pruned");
  element.setAttribute("role", "row");
  element.setAttribute("aria-rowindex", place + 1);
  element.setAttribute("aria-level", tree.depth[node] + 1);
  element.setAttribute("aria-posinset", tree.place[node]);
  element.setAttribute("aria-setsize", children(data.parent[node]).length);
  if (below) element.setAttribute("aria-expanded", tree.open.has(node) ? "true" : "false");
  const step = cell("step", 0);
  element.style.setProperty("--depth", Math.min(tree.depth[node], 24));
  step.append(make("span", "twist", below ? (tree.open.has(node) ? "▾" : "▸") : ""));
  if (tree.depth[node] > 24) step.append(make("span", "deep", tree.depth[node]));
  const text = make("bdi", "line");
  text.dir = "auto";
  if (data.flags[node] & CHOSEN) {
    const star = make("span", "star", "★");
    star.setAttribute("role", "img");
    star.setAttribute("aria-label", "on the chosen path");
    step.append(star);
  }
  putLine(text, data.text[node], data.math, 240);
  if (!text.firstChild) text.append(make("span", "soft", "(nothing)"));
  step.append(text);
  const judged = cell("judged", 1);
  judged.append(score(data.value[node]));
  const notes = cell("notes", 2);
  put(notes, noteOf(node));
  element.append(step, judged, notes);
  return element;
}

function noteOf(node) {
  const data = tree.data;
  const parts = [];
  const end = ending(node);
  if (end) parts.push(end);
  if (data.visits[node]) parts.push(plural(data.visits[node], "visit"));
  if (data.copies[node] > 1) parts.push(`drawn ${data.copies[node]}×`);
  const hidden = tree.open.has(node) ? 0 : children(node).length;
  if (hidden) parts.push(`${hidden} below`);
  const more = data.notes[node];
  if (more) parts.push(more.length > 120 ? more.slice(0, 120) + "…" : more);
  return parts.join(" · ");
}

function toggle(node, open = !tree.open.has(node)) {
  if (!children(node).length) return;
  if (open) tree.open.add(node); else tree.open.delete(node);
  flatten();
}

function openAll(open) {
  tree.open = new Set();
  if (open) tree.data.parent.forEach((parent) => { if (parent >= 0) tree.open.add(parent); });
  else keepVisible();
  flatten();
  if (tree.list.at >= 0) tree.list.go(tree.list.at);
}

// What was chosen inside a closed branch moves up to where it can be seen.
function keepVisible() {
  while (tree.at >= 0 && tree.data.parent[tree.at] >= 0) tree.at = tree.data.parent[tree.at];
}

// Choose a node, opening what is above it.
function reveal(node) {
  let changed = false;
  for (let at = tree.data.parent[node]; at >= 0; at = tree.data.parent[at]) {
    if (!tree.open.has(at)) { tree.open.add(at); changed = true; }
  }
  tree.at = node;
  if (changed) flatten();
  showDetail();  // first: it takes some of the rows' height
  tree.list.go(tree.rows.indexOf(node));
}

function chosenEnd() {
  let best = -1;
  tree.data.flags.forEach((flag, node) => {
    if (flag & CHOSEN && (best < 0 || tree.depth[node] > tree.depth[best])) best = node;
  });
  return best;
}

function findNext(words) {
  const count = tree.data.text.length;
  const wanted = words.toLowerCase();
  for (let step = 1; step <= count; step += 1) {
    const node = (tree.at + step + count) % count;
    if (sourceOf(tree.data.text[node], tree.data.math).toLowerCase().includes(wanted)) return node;
  }
  return -1;
}

function treeKey(event) {
  const { list } = tree;
  const at = list.at;
  const node = tree.rows[at];
  const to = list.target(event.key);
  if (to >= 0) reveal(tree.rows[to]);
  else if (at < 0) return false;
  else if (event.key === "ArrowRight") {
    const below = children(node);
    if (below.length && !tree.open.has(node)) toggle(node, true);
    else if (below.length) reveal(below[0]);
  } else if (event.key === "ArrowLeft") {
    if (tree.open.has(node)) toggle(node, false);
    else if (tree.data.parent[node] >= 0) reveal(tree.data.parent[node]);
  } else if (event.key === "Enter" || event.key === " ") {
    if (children(node).length) toggle(node);
    else reveal(node);
  } else if (event.key === "*") {
    for (const sibling of children(tree.data.parent[node])) if (children(sibling).length) tree.open.add(sibling);
    flatten();
  } else return false;
  return true;
}

function startTree() {
  const grid = byId("nodes");
  tree.list = new Rows(byId("node-rows"), "n", nodeRow);
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey) return;
    if (treeKey(event)) event.preventDefault();
  });
  byId("node-rows").addEventListener("click", (event) => {
    const place = tree.list.clicked(event);
    if (place < 0) return;
    const node = tree.rows[place];
    if (event.target.closest(".twist") || node === tree.at) toggle(node);
    reveal(node);
  });
  byId("open-all").addEventListener("click", () => openAll(true));
  byId("close-all").addEventListener("click", () => openAll(false));
  byId("to-chosen").addEventListener("click", () => {
    const node = chosenEnd();
    if (node >= 0) { reveal(node); grid.focus(); }
  });
  byId("find").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.value.trim()) return;
    const node = findNext(event.target.value.trim());
    byId("found").textContent = node < 0 ? "not found" : "";
    if (node >= 0) reveal(node);
  });
}

// The table of problems: sorted, filtered, one row a problem.

const [ID, QUESTION, ANSWER, GOLD, VERDICT, STATE, STOPPED, TOKENS, SCORED, SECONDS, FAILURES] = Array(11).keys();
const SIGNS = { correct: "✓", incorrect: "✗", failed: "!", running: "…", interrupted: "…" };
const COLUMNS = [
  ["verdict", "Verdict", (row) => verdictOf(row)],
  ["question", "Problem", (row, index) => index],
  ["answer", "Answer", (row) => sourceOf(row[ANSWER], table.math)],
  ["gold", "Gold", (row) => sourceOf(row[GOLD], table.math)],
  ["tokens", "Tokens", (row) => row[TOKENS]],
  ["seconds", "Seconds", (row) => row[SECONDS] || 0],
  ["stopped", "Stopped", (row) => row[STOPPED]],
  ["failures", "Failures", (row) => row[FAILURES]],
];
const table = { rows: [], math: [], texts: [], order: [], column: "question", down: false, list: null, chosen: -1,
  out: new Set() };

const verdictOf = (row) => row[STATE] !== "done" ? row[STATE] : row[VERDICT];
const verdictText = (row) => (verdictOf(row) || "–").replaceAll("_", " ");

function setRows(run) {
  table.rows = run.rows;
  table.math = run.math;
  table.texts = run.rows.map((row) => [row[ID], sourceOf(row[QUESTION], run.math), sourceOf(row[ANSWER], run.math),
    sourceOf(row[GOLD], run.math), verdictText(row), row[STOPPED]].join("\n").toLowerCase());
  setVerdicts();
  setColumns();
  arrange();
}

// Columns that would say nothing are left out.
function setColumns() {
  const said = { gold: (row) => row[GOLD] !== null, stopped: (row) => row[STOPPED] && row[STOPPED] !== "done",
    failures: (row) => row[FAILURES] > 0 };
  table.out = new Set(Object.keys(said).filter((name) => !table.rows.some(said[name])));
  const widths = { verdict: "6.4em", question: "minmax(9em, 1fr)", answer: "4.8em", gold: "4em", tokens: "4.6em",
    seconds: "5.2em", stopped: "5.2em", failures: "5em" };
  byId("problems").style.setProperty("--columns",
    COLUMNS.filter(([name]) => !table.out.has(name)).map(([name]) => widths[name]).join(" "));
  for (const head of byId("heads").children) head.classList.toggle("left-out", table.out.has(head.dataset.column));
}

function setVerdicts() {
  const select = byId("verdict");
  const counts = new Map();
  const count = (name) => counts.set(name, (counts.get(name) || 0) + 1);
  for (const row of table.rows) {
    count(verdictText(row));
    if (row[STOPPED] && row[STOPPED] !== "done") count("stopped: " + row[STOPPED]);
    if (row[FAILURES]) count("with failures");
  }
  const before = select.value;
  select.replaceChildren(new Option(`all ${grouped(table.rows.length)}`, ""));
  for (const [name, number] of counts) select.add(new Option(`${name} (${number})`, name));
  select.value = counts.has(before) ? before : "";
}

function wanted(row, kind) {
  if (!kind) return true;
  if (kind === "with failures") return row[FAILURES] > 0;
  if (kind.startsWith("stopped: ")) return "stopped: " + row[STOPPED] === kind;
  return verdictText(row) === kind;
}

function arrange() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = byId("verdict").value;
  const key = COLUMNS.find((column) => column[0] === table.column)[2];
  const keys = table.rows.map(key);
  const sign = table.down ? -1 : 1;
  const compare = (a, b) => typeof keys[a] === "string" ?
    keys[a].localeCompare(keys[b], "en", { numeric: true }) : keys[a] - keys[b];
  table.order = [...table.rows.keys()]
    .filter((index) => wanted(table.rows[index], kind) && words.every((word) => table.texts[index].includes(word)))
    .sort((a, b) => sign * compare(a, b) || a - b);
  for (const head of byId("heads").children) {
    const here = head.dataset.column === table.column;
    head.setAttribute("aria-sort", here ? (table.down ? "descending" : "ascending") : "none");
  }
  const all = table.order.length === table.rows.length;
  byId("count").textContent = all ? plural(table.rows.length, "problem") :
    `${grouped(table.order.length)} of ${plural(table.rows.length, "problem")}`;
  byId("none").hidden = table.order.length > 0;
  byId("problems").setAttribute("aria-rowcount", table.order.length + 1);
  table.list.at = table.order.indexOf(table.chosen);
  table.list.show(table.order.length);
}

function sortBy(column) {
  const numbers = ["tokens", "seconds", "failures"];
  table.down = table.column === column ? !table.down : numbers.includes(column);
  table.column = column;
  byId("sort").value = column;
  arrange();
}

function cell(name, column) {
  const element = make("div", "cell " + name + (table.out.has(name) ? " left-out" : ""));
  element.setAttribute("role", "gridcell");
  element.setAttribute("aria-colindex", column + 1);
  return element;
}

function shortText(name, column, text, math, most) {
  const element = cell(name, column);
  const inner = make("bdi");
  inner.dir = "auto";
  if (text === null) inner.append("–");
  else putLine(inner, text, math, most);
  element.append(inner);
  return element;
}

function problemRow(place) {
  const index = table.order[place];
  const row = table.rows[index];
  const element = make("div", "row problem");
  element.setAttribute("role", "row");
  element.setAttribute("aria-rowindex", place + 2);
  if (index === table.chosen) element.setAttribute("aria-current", "true");
  const verdict = cell("verdict", 0);
  const name = verdictOf(row);
  verdict.append(make("span", "badge " + (Object.hasOwn(SIGNS, name) ? name : "other"),
    (Object.hasOwn(SIGNS, name) ? SIGNS[name] + " " : "") + verdictText(row)));
  const question = shortText("question", 1, row[QUESTION], table.math, 300);
  question.prepend(make("span", "place", index + 1));
  element.append(
    verdict,
    question,
    shortText("answer", 2, row[ANSWER], table.math, 80),
    shortText("gold", 3, row[GOLD], table.math, 80),
    ...[["tokens", grouped(row[TOKENS])], ["seconds", places(row[STATE] === "done" ? row[SECONDS] : null, 1)],
      ["stopped", row[STOPPED] || "–"], ["failures", row[FAILURES] ? grouped(row[FAILURES]) : "–"]].map(([name, text], at) => {
      const element = cell(name, at + 4);
      put(element, text);
      return element;
    }),
  );
  return element;
}

function startTable() {
  for (const [column, title] of COLUMNS) {
    const head = make("div", "cell " + column);
    head.setAttribute("role", "columnheader");
    head.dataset.column = column;
    const button = make("button", "", title);
    button.type = "button";
    button.addEventListener("click", () => sortBy(column));
    head.append(button);
    byId("heads").append(head);
    byId("sort").add(new Option(title.toLowerCase(), column));
  }
  byId("sort").value = table.column;
  byId("sort").addEventListener("change", (event) => sortBy(event.target.value));
  byId("problems").setAttribute("aria-colcount", COLUMNS.length);
  table.list = new Rows(byId("problem-rows"), "p", problemRow);
  byId("filter").addEventListener("input", arrange);
  byId("filter").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.target.value = ""; arrange(); }
    if (event.key !== "ArrowDown" && event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    byId("problems").focus();
    if (table.list.at < 0) table.list.go(0);
  });
  byId("verdict").addEventListener("change", arrange);
  const grid = byId("problems");
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = table.list.target(event.key);
    if (to >= 0) table.list.go(to);
    else if ((event.key === "Enter" || event.key === " " || event.key === "ArrowRight") && table.list.at >= 0) {
      openProblem(table.order[table.list.at], true);
    } else return;
    event.preventDefault();
  });
  byId("problem-rows").addEventListener("click", (event) => {
    const place = table.list.clicked(event);
    if (place < 0) return;
    table.list.go(place);
    openProblem(table.order[place], true);
  });
}

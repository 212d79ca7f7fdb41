// Where data comes from (the page itself, or the server it is followed on), what is chosen, and the keys.

const POLL = 1000;
const app = { index: -1, wanted: -1, pressed: false, live: document.documentElement.dataset.live === "yes", stamps: [], stamp: "" };

const parsed = (id) => JSON.parse(byId(id).textContent);
const fetched = async (path) => {
  const answer = await fetch(path, { cache: "no-store" });
  if (answer.status === 204) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};
app.run = () => app.live ? fetched("data/run" + (app.stamp ? `?since=${app.stamp}` : "")) : parsed("data-run");
app.problem = (index) => app.live ? fetched(`data/problem/${index}`) : parsed(`data-problem-${index}`);
app.tokens = () => app.live ? fetched(`data/tokens/${app.index}`) : parsed(`data-tokens-${app.index}`);

function showRun(run) {
  put(clear("title"), run.title);
  const totals = clear("totals");
  for (const [name, value] of run.totals) {
    const item = make("span", "total");
    item.append(make("b", "", value), " " + name);
    totals.append(item);
  }
  const about = clear("about");
  for (const [section, pairs] of run.facts) {
    const list = make("dl");
    facts(list, pairs);
    const group = make("section");
    group.append(make("h3", "", section), list);
    about.append(group);
  }
  const notes = clear("notes");
  for (const note of run.notes) notes.append(make("p", "", note));
  app.stamps = run.stamps || [];
  app.stamp = run.stamp || "";
  setRows(run);
}

async function openProblem(index, focus) {
  app.wanted = index;
  const data = await app.problem(index);
  await released();
  if (app.wanted !== index) return;  // another one was chosen meanwhile
  const keep = app.index === index;
  if (!keep) {
    app.index = table.chosen = index;
    detail.tab = "step";
    tree.list.scroller.scrollTop = 0;
    tree.list.at = -1;
    if (table.order.includes(index)) table.list.go(table.order.indexOf(index));
  }
  detail.tokens = null;
  app.shown = app.stamps[index];
  if (focus || !keep) document.body.classList.add("one");
  byId("problem").hidden = false;
  byId("hint").hidden = true;
  setTree(data, keep);
  showProblem(table.rows[index], index);
  showDetail();
  for (const row of table.list.shown.values()) {
    if (table.order[Number(row.dataset.index)] === index) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  if (focus) {
    byId("nodes").focus({ preventScroll: true });
    if (tree.list.at < 0 && tree.rows.length) reveal(tree.rows[0]);
    remember();
  }
}

function back() {
  document.body.classList.remove("one");
  byId("problems").focus();
}

const remember = () => history.replaceState(null, "", app.index < 0 ? "#" : `#problem-${app.index + 1}`);

// Nothing is drawn anew between pressing and letting go: the click would be lost.
const released = async () => { while (app.pressed) await new Promise((done) => { setTimeout(done, 50); }); };

async function follow() {
  try {
    const run = await app.run();
    await released();
    if (run) {
      showRun(run);
      const behind = app.index >= 0 && app.stamps[app.index] !== app.shown;
      if (behind && app.wanted === app.index) await openProblem(app.index, false);
    }
    byId("status").textContent = "live";
    byId("status").className = "live";
  } catch {
    byId("status").textContent = "not reachable: the server has stopped";
    byId("status").className = "lost";
  }
  setTimeout(follow, POLL);
}

// On paper there is no scrolling: every open row, and the whole table, as text.
const PRINTED = 3000;
function forPaper() {
  const paper = clear("paper");
  const rows = make("div", "paper-table");
  const heads = make("div", "row problem");
  for (const [column, title] of COLUMNS) heads.append(make("b", "cell " + column, title));
  rows.append(heads);
  for (let place = 0; place < Math.min(PRINTED, table.order.length); place += 1) rows.append(problemRow(place));
  paper.append(make("h2", "", "Problems"), rows);
  if (app.index < 0) return;
  const nodes = make("div", "paper-tree");
  for (let place = 0; place < Math.min(PRINTED, tree.rows.length); place += 1) {
    const row = nodeRow(place);
    const line = row.querySelector(".line");
    line.replaceChildren();
    putText(line, tree.data.text[tree.rows[place]], tree.data.math, 2000);
    nodes.append(row);
  }
  const question = make("h2", "");
  putText(question, tree.data.question, tree.data.math, 2000);
  paper.append(question, nodes);
  if (tree.rows.length > PRINTED) paper.append(make("p", "", `… and ${grouped(tree.rows.length - PRINTED)} more rows`));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing) {
    document.body.classList.remove("one");
    byId("filter").focus();
    byId("filter").select();
    event.preventDefault();
  } else if (event.key === "Escape" && !typing && document.body.classList.contains("one")) back();
});

async function start() {
  startTable();
  startTree();
  startDetail();
  byId("back").addEventListener("click", back);
  for (const kind of ["pointerdown", "pointerup", "pointercancel", "pointermove"]) {
    const note = ({ buttons }) => { app.pressed = kind === "pointerdown" || (app.pressed && kind === "pointermove" && buttons > 0); };
    addEventListener(kind, note, { capture: true, passive: true });
  }
  addEventListener("beforeprint", forPaper);
  addEventListener("afterprint", () => clear("paper"));
  if (app.live) await follow();
  else showRun(parsed("data-run"));
  const asked = /^#problem-(\d{1,7})$/.exec(location.hash);
  const index = asked ? Number(asked[1]) - 1 : -1;
  if (index >= 0 && index < table.rows.length) await openProblem(index, true);
  else if (table.rows.length === 1) await openProblem(0, true);
  else if (table.rows.length && matchMedia("(min-width: 900px)").matches) await openProblem(0, false);
  document.documentElement.dataset.ready = "yes";
}

start();

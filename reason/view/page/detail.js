// What is known of the problem and of the chosen node.

const detail = { tab: "step", tokens: null, told: "", about: "" };
const LONG = 20000;

function definition(list, name, value) {
  const pair = make("div");
  pair.append(make("dt", "", name), make("dd", "", value));
  list.append(pair);
}

function facts(list, pairs) {
  list.replaceChildren();
  for (const [name, value] of pairs) definition(list, name, value);
}

// A whole text in lines of its own directions; the rest of a very long one on demand.
function whole(text, math, name = "text") {
  const element = make("div", name);
  element.dir = "auto";
  putText(element, text, math, LONG);
  const length = sourceOf(text, math).length;
  if (length > LONG) {
    const more = make("button", "more", `show all ${grouped(length)} characters`);
    more.type = "button";
    more.addEventListener("click", () => { element.replaceChildren(); putText(element, text, math); });
    element.append(more);
  }
  return element;
}

function showProblem(row, index) {
  const data = tree.data;
  byId("node-count").textContent = plural(data.parent.length, "node");
  byId("to-chosen").disabled = chosenEnd() < 0;
  const about = JSON.stringify([index, row, data.question, data.answer, data.gold, data.votes, data.facts,
    data.failures, data.prompt, data.done, data.parent.length > 0]);
  if (about === detail.about) return;  // what is being read, or selected in it, stays
  detail.about = about;
  put(clear("problem-id"), `${index + 1} · ${row[ID]}`);
  clear("question").append(whole(data.question, data.math));
  const result = clear("result");
  const name = verdictOf(row);
  result.append(make("span", "badge " + (Object.hasOwn(SIGNS, name) ? name : "other"),
    (Object.hasOwn(SIGNS, name) ? SIGNS[name] + " " : "") + verdictText(row)));
  for (const [label, text] of [["answer", data.answer], ["gold", data.gold]]) {
    if (label === "gold" && text === null) continue;
    const element = make("span", "pair");
    const value = make("bdi", "value");
    value.dir = "auto";
    if (text === null) value.append("–"); else putLine(value, text, data.math, 200);
    element.append(make("span", "soft", label + " "), value);
    result.append(element);
  }
  facts(byId("facts"), data.facts);
  showVotes(data);
  const failures = clear("failures");
  for (const line of data.failures.slice(0, 200)) failures.append(make("li", "", line));
  byId("failed").hidden = !data.failures.length;
  byId("failed-count").textContent = plural(data.failures.length, "failure");
  byId("prompted").hidden = data.prompt === null;
  put(clear("prompt"), data.prompt || "");
  byId("empty").hidden = data.parent.length > 0;
  byId("empty").textContent = data.done ? "Nothing was kept of this search." : "Nothing yet.";
}

const clear = (id) => { const element = byId(id); element.replaceChildren(); return element; };

function showVotes(data) {
  const votes = clear("votes");
  const total = data.votes.reduce((sum, vote) => sum + Math.max(0, vote[1] || 0), 0);
  byId("voted").hidden = !data.votes.length;
  byId("voted-count").textContent = `${plural(data.votes.length, "answer")} in the vote`;
  for (const [answer, weight, solutions, chosen] of data.votes.slice(0, 100)) {
    const item = make("li", chosen ? "chosen" : "");
    const value = make("bdi", "value");
    value.dir = "auto";
    if (answer === null) value.append(make("span", "soft", "no answer"));
    else putLine(value, answer, data.math, 120);
    const of = total > 0 && weight !== null ? ` (${Math.round(100 * Math.max(0, weight) / total)} %)` : "";
    item.append(make("span", "star", chosen ? "★" : ""), value,
      make("span", "soft", `weight ${weight === null ? "–" : +weight.toPrecision(3)}${of} · ${plural(solutions, "solution")}`));
    votes.append(item);
  }
}

function showDetail() {
  const panel = byId("detail");
  panel.hidden = tree.at < 0;
  if (tree.at < 0) return;
  const node = tree.at;
  const data = tree.data;
  const count = data.tokens[node];
  const sum = data.logprob[node];
  const pairs = [["score", places(data.value[node], 4)]];
  if (data.mean[node] !== null) pairs.push(["mean value", places(data.mean[node], 4)]);
  if (data.visits[node]) pairs.push(["visits", grouped(data.visits[node])]);
  if (data.copies[node] > 1) pairs.push(["drawn", `${data.copies[node]}×`]);
  if (count) pairs.push(["tokens", grouped(count)]);
  if (sum !== null) pairs.push(["log-probability", `${places(sum, 3)}${count ? ` (${places(sum / count, 3)} a token)` : ""}`]);
  const end = ending(node);
  if (end) pairs.push(["ended", end]);
  if (data.notes[node]) pairs.push(["note", data.notes[node]]);
  const told = JSON.stringify([app.index, detail.tab, pairs, lineage(detail.tab === "path" ? node : -1), data.text[node]]);
  if (told === detail.told) return;
  detail.told = told;
  facts(byId("numbers"), pairs);
  for (const button of byId("tabs").children) {
    button.setAttribute("aria-selected", button.dataset.tab === detail.tab ? "true" : "false");
    button.tabIndex = button.dataset.tab === detail.tab ? 0 : -1;
  }
  const body = clear("body");
  if (detail.tab === "step") body.append(whole(data.text[node], data.math));
  else if (detail.tab === "source") body.append(whole(sourceOf(data.text[node], data.math), data.math, "text source"));
  else if (detail.tab === "path") body.append(pathTo(node));
  else showTokens(body, node);
}

// The steps to a node: score and text of each.
function lineage(node) {
  const { parent, kind, value, text, math } = tree.data;
  const steps = [];
  for (let at = node; at >= 0; at = parent[at]) {
    if (kind[at] !== ANSWERS) steps.push([value[at], sourceOf(text[at], math), at]);
  }
  return steps.reverse();
}

function pathTo(node) {
  const list = make("ol", "path");
  for (const [value, , at] of lineage(node)) {
    const item = make("li");
    item.append(score(value), whole(tree.data.text[at], tree.data.math));
    list.append(item);
  }
  return list;
}

async function showTokens(body, node) {
  if (!detail.tokens) detail.tokens = await app.tokens();
  if (tree.at !== node || detail.tab !== "tokens" || !body.isConnected) return;
  const found = detail.tokens[node];
  body.replaceChildren();
  if (!found) {
    body.append(make("p", "soft", "No tokens were kept for this node."));
    return;
  }
  const [ids, logprobs] = found;
  const list = make("div", "tokens");
  const most = 2000;
  for (let index = 0; index < Math.min(most, Math.max(ids.length, logprobs.length)); index += 1) {
    const value = logprobs[index];
    const token = make("span", "token");
    token.append(make("span", "", ids[index] ?? "–"), make("b", "", value === undefined ? "" : places(value, 2)));
    if (value !== undefined && value !== null) {
      token.classList.add("likely" + Math.max(0, Math.min(4, Math.floor(Math.exp(value) * 5))));
    }
    list.append(token);
  }
  body.append(make("p", "soft", "Each token: its id, and its log-probability in nats."), list);
  if (ids.length > most) body.append(make("p", "soft", `… and ${grouped(ids.length - most)} more`));
}

function startDetail() {
  const tabs = byId("tabs");
  const choose = (button) => { detail.tab = button.dataset.tab; showDetail(); };
  tabs.addEventListener("click", (event) => { if (event.target.dataset.tab) choose(event.target); });
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...tabs.children];
    const next = all[(all.findIndex((button) => button.dataset.tab === detail.tab) + step + all.length) % all.length];
    choose(next);
    next.focus();
    event.preventDefault();
  });
  byId("close-detail").addEventListener("click", () => {
    byId("detail").hidden = true;
    byId("nodes").focus();
  });
}

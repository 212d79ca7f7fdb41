// Texts of models and problems are data: they reach the page through text nodes only.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(("math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot " +
  "mrow mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none").split(" "));
const ATTRIBUTES = new Set(("accent accentunder columnspan depth display displaystyle fence form height largeop " +
  "linethickness lspace mathvariant maxsize minsize movablelimits notation rspace scriptlevel separator stretchy " +
  "symmetric voffset width").split(" "));
// What has no shape of its own, or changes the order of what stands around it, is shown by its number.
const UNSEEN = new RegExp("[\\p{Cs}\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e" +
  "\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]", "gu");

const byId = (id) => document.getElementById(id);

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined && text !== null) put(element, String(text));
  return element;
}

function put(parent, text) {
  let done = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (found.index > done) parent.append(text.slice(done, found.index));
    const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const mark = document.createElement("span");
    mark.className = "unseen";
    mark.textContent = "U+" + code;
    parent.append(mark);
    done = found.index + found[0].length;
  }
  if (done < text.length) parent.append(done ? text.slice(done) : text);
}

function formula(item) {
  const holder = document.createElement("span");
  holder.className = "formula";
  holder.dataset.source = item[0];
  holder.title = item[0];
  holder.append(mathElement(item[1]));
  return holder;
}

function mathElement(tree) {
  const [tag, attributes, ...children] = tree;
  const element = document.createElementNS(MATHML, ELEMENTS.has(tag) ? tag : "mtext");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (ATTRIBUTES.has(name)) element.setAttribute(name, value);
  }
  for (const child of children) {
    if (typeof child === "string") put(element, child);
    else element.append(mathElement(child));
  }
  return element;
}

// A text is a string, or its pieces: strings and places in the table of formulas.
const sourceOf = (text, math) =>
  text === null || text === undefined ? "" :
    typeof text === "string" ? text : text.map((piece) => typeof piece === "string" ? piece : math[piece][0]).join("");

function putText(parent, text, math, most = Infinity) {
  let left = most;
  for (const piece of typeof text === "string" ? [text] : text || []) {
    if (left <= 0) break;
    if (typeof piece === "string") {
      put(parent, piece.length > left ? piece.slice(0, left) : piece);
      left -= piece.length;
    } else {
      parent.append(formula(math[piece]));
      left -= math[piece][0].length;
    }
  }
  if (left < 0) parent.append("…");
}

// One line: ends trimmed, line breaks shown as a mark. `text` is sliced first, whatever its length.
function putLine(parent, text, math, most) {
  const pieces = (typeof text === "string" ? [text] : text || []).slice(0, 60);
  const last = pieces.length - 1;
  putText(parent, pieces.map((piece, index) => {
    if (typeof piece !== "string") return piece;
    let line = piece.length > most + 8 ? piece.slice(0, most + 8) : piece;
    if (index === 0) line = line.trimStart();
    if (index === last) line = line.trimEnd();
    return line.replace(/\s*\n\s*/g, " ↵ ");
  }), math, most);
}

const places = (value, digits) => value === null || value === undefined ? "–" : value.toFixed(digits);
const grouped = (value) => Math.round(value).toLocaleString("en-US");
const plural = (count, word) => `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;

// Copied mathematics is its source.
document.addEventListener("copy", (event) => {
  const chosen = document.getSelection();
  if (!chosen.rangeCount || !event.clipboardData) return;
  const copy = chosen.getRangeAt(0).cloneContents();
  const formulas = copy.querySelectorAll(".formula");
  if (!formulas.length) return;
  for (const found of formulas) found.replaceWith(found.dataset.source);
  event.clipboardData.setData("text/plain", copy.textContent);
  event.preventDefault();
});

// A list of rows of one height, of which only those on screen (and a few around them) are elements.

class Rows {
  // scroller: the element that scrolls; draw(index): the element of a row; prefix: of the rows' ids.
  constructor(scroller, prefix, draw) {
    this.scroller = scroller;
    this.prefix = prefix;
    this.draw = draw;
    this.count = 0;
    this.at = -1;
    this.view = 0;
    this.shown = new Map();
    this.space = make("div", "space");
    this.space.setAttribute("role", "rowgroup");
    scroller.append(this.space);
    let waiting = false;
    const later = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.paint(); });
    };
    scroller.addEventListener("scroll", later, { passive: true });
    new ResizeObserver(() => { this.measure(); this.stay(); later(); }).observe(scroller);
    this.measure();
  }

  measure() {
    const height = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 30;
    if (height === this.height) return;
    this.height = height;
    this.clear();
    this.space.style.height = `${this.count * height}px`;
  }

  // Where something else takes height, the chosen row stays on screen if it was there.
  stay() {
    const { scrollTop, clientHeight } = this.scroller;
    const end = (this.at + 1) * this.height;
    const seen = this.at >= 0 && end > scrollTop && end <= scrollTop + this.view + 1;
    if (seen && end > scrollTop + clientHeight) this.scroller.scrollTop = end - clientHeight;
    this.view = clientHeight;
  }

  clear() {
    this.shown.clear();
    this.space.replaceChildren();
  }

  // Show so many rows anew; the scroll position stays.
  show(count) {
    this.count = count;
    this.clear();
    this.space.style.height = `${count * this.height}px`;
    this.at = Math.min(this.at, count - 1);
    this.paint();
  }

  paint() {
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.height) - 8);
    const last = Math.min(this.count, Math.ceil((top + this.scroller.clientHeight) / this.height) + 8);
    for (const [index, element] of this.shown) {
      if (index < first || index >= last) {
        element.remove();
        this.shown.delete(index);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let index = first; index < last; index += 1) {
      if (this.shown.has(index)) continue;
      const element = this.draw(index);
      element.id = this.prefix + index;
      element.style.top = `${index * this.height}px`;
      element.dataset.index = index;
      element.setAttribute("aria-selected", index === this.at ? "true" : "false");
      this.shown.set(index, element);
      fresh.append(element);
    }
    this.space.append(fresh);
    this.mark();
  }

  mark() {
    for (const [index, element] of this.shown) {
      element.setAttribute("aria-selected", index === this.at ? "true" : "false");
    }
    const holder = this.scroller.closest("[tabindex]");
    if (this.shown.has(this.at)) holder.setAttribute("aria-activedescendant", this.prefix + this.at);
    else holder.removeAttribute("aria-activedescendant");
  }

  // Move to a row and bring it on screen.
  go(index) {
    if (!this.count) return;
    this.at = Math.max(0, Math.min(this.count - 1, index));
    const top = this.at * this.height;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.scroller.scrollTop = top + this.height - clientHeight;
    this.paint();
  }

  // The row that was clicked, or -1.
  clicked(event) {
    const row = event.target.closest(".row");
    return row && !String(document.getSelection()) ? Number(row.dataset.index) : -1;
  }

  page() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 1);
  }

  // Where a key leads, or -1.
  target(key) {
    const moves = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + this.page(),
      PageUp: this.at - this.page(), Home: 0, End: this.count - 1 };
    if (!(key in moves) || !this.count) return -1;
    return Math.max(0, Math.min(this.count - 1, moves[key]));
  }
}

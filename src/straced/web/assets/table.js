// A table whose rows keep their elements, so that a refresh changes only what is new.

import { arrange, el, say } from "./dom.js";

/**
 * columns: [{id, title, hint, text(row), cell(row), node(td, row), class, sort(row)}].
 * text makes the text of a cell; node, where there is one, draws into it.
 */
export class Table {
  constructor(columns, { keyOf, sorted = null, picked = null, label = "" }) {
    Object.assign(this, { columns, keyOf, sorted, picked });
    this.known = new Map();
    this.body = el("tbody");
    this.heads = columns.map((column) =>
      el("th", { scope: "col", class: column.class, title: column.hint, "data-column": column.id },
        sorted && column.sort ? el("button", { type: "button", onclick: () => sorted(column.id) }, column.title) : column.title));
    this.node = el("div", { class: "scroll" },
      el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, ...this.heads)), this.body));
  }

  mark(id, descending = true) {
    this.columns.forEach((column, at) => {
      if (column.id === id) this.heads[at].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else this.heads[at].removeAttribute("aria-sort");
    });
  }

  show(rows) {
    const kept = new Map();
    const nodes = rows.map((row) => {
      const key = this.keyOf(row);
      const line = this.known.get(key) || this.make(key);
      kept.set(key, line);
      line.row = row;
      this.columns.forEach((column, at) => {
        if (column.node) column.node(line.cells[at], row);
        else say(line.cells[at], column.text(row));
      });
      const kind = row.kind_ || "";
      if (line.node.className !== kind) line.node.className = kind;
      return line.node;
    });
    this.known = kept;
    const focused = document.activeElement;
    const within = this.body.contains(focused);
    arrange(this.body, nodes);
    if (within && document.activeElement !== focused) focused.focus({ preventScroll: true });  // its row was moved
  }

  /** The row that has the keyboard's focus. */
  get focused() {
    const line = document.activeElement?.closest("tr");
    return (line && this.known.get(line.dataset.key)?.row) || null;
  }

  /** Move the focus to another row that can be opened: down by 1 or up by -1. */
  step(by) {
    const all = [...this.body.querySelectorAll("td:first-child :is(a, button)")];
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  make(key) {
    const cells = this.columns.map((column) => el("td", { class: column.class }));
    const line = { cells, row: null, node: el("tr", { "data-key": key }, ...cells) };
    if (this.picked) line.node.addEventListener("click", (event) => { if (!event.target.closest("a")) this.picked(line.row); });
    return line;
  }
}

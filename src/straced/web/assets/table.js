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
    arrange(this.body, nodes);
  }

  make(key) {
    const cells = this.columns.map((column) => el("td", { class: column.class }));
    const line = { cells, row: null, node: el("tr", { "data-key": key }, ...cells) };
    if (this.picked) line.node.addEventListener("click", (event) => { if (!event.target.closest("a")) this.picked(line.row); });
    return line;
  }
}

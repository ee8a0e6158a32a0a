// Tables that sort and filter.
const MOST = 500;
function table(section, rows, columns, sortKey, hidden = 0) {
  const body = $(".body", section);
  const search = make("input");
  search.type = "search";
  search.placeholder = "filter";
  search.setAttribute("aria-label", "filter");
  const scroll = make("div", null, "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", $("h2", section).textContent);
  const grid = make("table");
  const words = make("p", null, "weak");
  body.append(search, scroll, words);
  scroll.append(grid);
  let key = sortKey, down = true;
  const value = (row, column) => column.value ? column.value(row) : row[column.key];
  const head = make("tr");
  for (const column of columns) {
    const cell = make("th", null, column.text ? "text" : "");
    cell.scope = "col";
    cell.append(button(column.title, () => {
      down = key === column.key ? !down : !column.text;
      key = column.key;
      fill();
    }));
    cell.dataset.key = column.key;
    head.append(cell);
  }
  grid.append(make("thead"));
  grid.tHead.append(head);
  const tbody = make("tbody");
  grid.append(tbody);
  function fill() {
    const wanted = search.value.toLowerCase();
    const kept = rows.filter((row) => !wanted || columns.some((column) => column.text && String(value(row, column)).toLowerCase().includes(wanted)));
    const column = columns.find((each) => each.key === key);
    kept.sort((a, b) => {
      const x = value(a, column), y = value(b, column);
      const order = typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1);
      return down ? -order : order;
    });
    for (const cell of head.children) cell.setAttribute("aria-sort", cell.dataset.key === key ? (down ? "descending" : "ascending") : "none");
    tbody.replaceChildren(...kept.slice(0, wanted ? MOST : most).map((row) => {
      const line = make("tr");
      for (const each of columns) {
        const raw = value(row, each);
        const cell = make("td", each.show ? each.show(raw, row) : raw, (each.text ? "text " : "") + (each.mono ? "mono " : "") + (each.line ? "line " : "") + (each.bad && raw > 0 ? "bad" : ""));
        if (each.line) cell.title = cell.textContent;
        if (each.click) each.click(cell, row);
        line.append(cell);
      }
      return line;
    }));
    const shown = Math.min(kept.length, wanted ? MOST : most);
    words.replaceChildren(`${count(shown)} of ${countOf(kept.length, "row")}${hidden ? `, and ${count(hidden)} more that are not in this page` : ""} `);
    if (shown < kept.length && !wanted && most < MOST) words.append(button("show more", () => { most = MOST; fill(); }));
  }
  let most = 50;
  search.addEventListener("input", fill);
  fill();
}

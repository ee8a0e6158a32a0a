"use strict";
// Foreign text reaches the page through textContent only; nothing here builds markup from strings.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, from = document) => from.querySelector(selector);
const make = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};
const draw = (tag, attributes, cls) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (cls) node.setAttribute("class", cls);
  return node;
};
const count = (value) => value === null || value === undefined ? "-" : value.toLocaleString("en-US");
const time = (ns) => {
  if (ns === null || ns === undefined) return "-";
  for (const [limit, unit, size] of [[1e3, "ns", 1], [1e6, "us", 1e3], [1e9, "ms", 1e6]])
    if (ns < limit) return (ns / size < 9.95 && size > 1 ? (ns / size).toFixed(1) : Math.round(ns / size)) + " " + unit;
  return (ns / 1e9 < 9.95 ? (ns / 1e9).toFixed(1) : count(Math.round(ns / 1e9))) + " s";
};
const bytes = (value) => {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return (unit === "B" ? value : value.toFixed(1)) + " " + unit;
    value /= 1000;
  }
  return value.toFixed(1) + " TB";
};
const seconds = (value) => value === null || value === undefined ? "-" : value.toFixed(3) + " s";
const classOf = {};
for (const row of data.summary) classOf[row.name] = row.class;
const unit = (value) => data.timed ? time(value) : count(value) + " calls";

// --- tables that sort and filter -----------------------------------------------------------------------
const MOST = 500;
function table(section, rows, columns, sortKey) {
  const body = $(".body", section);
  const search = make("input");
  search.type = "search";
  search.placeholder = "filter";
  search.setAttribute("aria-label", "filter");
  const scroll = make("div", null, "scroll");
  const grid = make("table");
  const say = make("p", null, "weak");
  body.append(search, scroll, say);
  scroll.append(grid);
  let key = sortKey, down = true;
  const value = (row, column) => column.value ? column.value(row) : row[column.key];
  const head = make("tr");
  for (const column of columns) {
    const cell = make("th", column.title, column.text ? "text" : "");
    cell.addEventListener("click", () => {
      down = key === column.key ? !down : !column.text;
      key = column.key;
      fill();
    });
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
    tbody.replaceChildren(...kept.slice(0, MOST).map((row) => {
      const line = make("tr");
      for (const each of columns) {
        const raw = value(row, each);
        line.append(make("td", each.show ? each.show(raw, row) : raw, (each.text ? "text " : "") + (each.mono ? "mono" : "")));
      }
      return line;
    }));
    say.textContent = kept.length > MOST ? `${count(MOST)} of ${count(kept.length)} rows; filter to see others` : `${count(kept.length)} rows`;
  }
  search.addEventListener("input", fill);
  fill();
}

// --- tool tip --------------------------------------------------------------------------------------------
const tip = document.getElementById("tip");
const point = (node, text) => {
  node.addEventListener("pointermove", (event) => {
    tip.textContent = text();
    tip.hidden = false;
    tip.style.left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = event.clientY + 14 + "px";
  });
  node.addEventListener("pointerleave", () => { tip.hidden = true; });
};

// --- time line --------------------------------------------------------------------------------------------
function timeline() {
  const body = $("#timeline .body"), line = data.timeline;
  if (!line) { body.append(make("p", "The trace has no clock, so there is no time line.", "weak")); return; }
  const names = new Map(data.processes.map((process) => [process.pid, process.name]));
  const width = 1100, left = 170, row = 15, height = line.pids.length * row + 24;
  const most = Math.max(1, ...line.counts.map((counts) => Math.max(...counts)));
  let from = 0, to = line.counts[0].length;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  body.append(svg);
  const paint = () => {
    const step = (width - left) / (to - from), nodes = [];
    line.pids.forEach((pid, index) => {
      const label = draw("text", { x: left - 6, y: index * row + 11, "text-anchor": "end" });
      label.textContent = `${names.get(pid) || "?"} ${pid}`.slice(0, 26);
      nodes.push(label);
      line.counts[index].forEach((value, place) => {
        if (!value || place < from || place >= to) return;
        const cell = draw("rect", { x: left + (place - from) * step, y: index * row + 1, width: Math.max(step - .5, .7), height: row - 2, opacity: .25 + .75 * Math.log1p(value) / Math.log1p(most) }, "cell");
        point(cell, () => `${names.get(pid) || "?"} ${pid}\n${seconds(place * line.step_s)} to ${seconds((place + 1) * line.step_s)}\n${count(value)} lines`);
        nodes.push(cell);
      });
    });
    for (let part = 0; part <= 5; part++) {
      const mark = draw("text", { x: left + (width - left) * part / 5, y: height - 6, "text-anchor": part === 5 ? "end" : part ? "middle" : "start" }, "axis");
      mark.textContent = seconds((from + (to - from) * part / 5) * line.step_s);
      nodes.push(mark);
    }
    svg.replaceChildren(...nodes);
    svg.dataset.from = from;
    svg.dataset.to = to;
  };
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width;
    return from + Math.max(0, Math.min(1, (x - left) / (width - left))) * (to - from);
  };
  let start = null, shade = null;
  svg.addEventListener("pointerdown", (event) => {
    start = place(event);
    shade = draw("rect", { x: 0, y: 0, width: 0, height: height - 20 }, "zoom");
    svg.append(shade);
  });
  svg.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const [a, b] = [start, place(event)].sort((x, y) => x - y), step = (width - left) / (to - from);
    shade.setAttribute("x", left + (a - from) * step);
    shade.setAttribute("width", (b - a) * step);
  });
  addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [a, b] = [start, place(event)].sort((x, y) => x - y);
    start = null;
    if (b - a >= 1) { from = Math.floor(a); to = Math.min(Math.ceil(b), line.counts[0].length); }
    paint();
  });
  svg.addEventListener("dblclick", () => { from = 0; to = line.counts[0].length; paint(); });
  paint();
}

// --- flame graph ------------------------------------------------------------------------------------------
function flame() {
  const names = new Map(data.processes.map((process) => [process.pid, process.name]));
  const root = { name: "all", value: 0, cls: "root", below: [] }, byPid = new Map();
  for (const [pid, name, value, paths] of data.flame.map((each) => [each.pid, each.name, each.value, each.paths])) {
    if (!value) continue;
    if (!byPid.has(pid)) {
      const process = { name: `${names.get(pid) || "?"} ${pid}`, value: 0, cls: "proc", below: [], above: root };
      byPid.set(pid, process);
      root.below.push(process);
    }
    const process = byPid.get(pid);
    const call = { name, value, cls: classOf[name] || "other", below: [], above: process };
    call.below = paths.map(([path, part]) => ({ name: path, value: part, cls: "path", below: [], above: call }));
    process.below.push(call);
    process.value += value;
    root.value += value;
  }
  for (const process of root.below) process.below.sort((a, b) => b.value - a.value);
  root.below.sort((a, b) => b.value - a.value);
  const section = $("#flame"), body = $(".body", section), say = $(".say", section), search = $("input", section);
  const width = 1100, row = 20, svg = draw("svg", { viewBox: `0 0 ${width} ${row * 4}`, role: "img" });
  if (!root.value) { body.append(make("p", "Nothing to show.", "weak")); return; }
  body.append(svg);
  let top = root;
  const paint = () => {
    const chain = [], nodes = [], wanted = search.value.toLowerCase();
    for (let node = top.above; node; node = node.above) chain.unshift(node);
    const box = (node, x, wide, depth) => {
      if (wide < .4) return;
      const rect = draw("rect", { x, y: depth * row, width: wide, height: row - 1, rx: 2 }, "frame " + node.cls + (wanted && node.name.toLowerCase().includes(wanted) ? " hit" : ""));
      point(rect, () => `${node.name}\n${unit(node.value)}, ${(100 * node.value / root.value).toFixed(1)} % of all`);
      rect.addEventListener("click", () => { top = node; paint(); });
      nodes.push(rect);
      if (wide > 34) {
        const text = draw("text", { x: x + 4, y: depth * row + 14 });
        const room = Math.floor((wide - 8) / 6.1);
        text.textContent = node.name.length > room ? node.name.slice(0, room - 1) + "…" : node.name;
        nodes.push(text);
      }
    };
    const walk = (node, x, wide, depth) => {
      box(node, x, wide, depth);
      let at = x;
      for (const below of node.below) {
        const part = wide * below.value / node.value;
        walk(below, at, part, depth + 1);
        at += part;
      }
    };
    chain.forEach((node, depth) => box(node, 0, width, depth));
    walk(top, 0, width, chain.length);
    svg.replaceChildren(...nodes);
    svg.dataset.top = top.name;
    say.textContent = `${top.name}: ${unit(top.value)}, ${(100 * top.value / root.value).toFixed(1)} % of all`;
  };
  search.addEventListener("input", paint);
  paint();
}

// --- the page ---------------------------------------------------------------------------------------------
document.title = "straced report: " + data.title;
$("#title").textContent = `${data.title} · ${data.lines}`;
$("#head").textContent = data.head;
$("#quality").textContent = data.quality;
$("#reasons").append(...data.reasons.map((reason) => make("li", reason)));
const found = $("#findings .body");
for (const finding of data.findings) {
  const line = make("div", null, "finding"), words = make("div");
  words.append(make("span", finding.text + " "), make("small", (finding.lines.length > 1 ? "lines " : finding.lines.length ? "line " : "") + finding.lines.join(", ")));
  line.append(make("b", finding.cost_ns === null ? "" : time(finding.cost_ns)), words);
  found.append(line);
}
if (!data.findings.length) found.append(make("p", "Nothing stands out.", "weak"));
timeline();
flame();
const errnos = (map) => Object.entries(map || {}).sort((a, b) => b[1] - a[1]).map(([name, value]) => `${name} ${count(value)}`).join("  ");
table($("#calls"), data.summary, [
  { key: "name", title: "syscall", text: true }, { key: "class", title: "class", text: true },
  { key: "calls", title: "calls", show: count }, { key: "errors", title: "errors", show: count },
  { key: "wall_ns", title: "total", show: time }, { key: "p50_ns", title: "p50", show: time },
  { key: "p99_ns", title: "p99", show: time }, { key: "max_ns", title: "max", show: time },
  { key: "errno", title: "errno", text: true, value: (row) => errnos(row.errno) },
], data.timed ? "wall_ns" : "calls");
table($("#files"), data.files, [
  { key: "path", title: "path", text: true, mono: true }, { key: "calls", title: "calls", show: count },
  { key: "errors", title: "errors", show: count }, { key: "in_bytes", title: "read", show: bytes },
  { key: "out_bytes", title: "written", show: bytes }, { key: "wall_ns", title: "time", show: time },
  { key: "line", title: "first line", show: count },
], data.timed ? "wall_ns" : "calls");
table($("#slowest"), data.slowest, [
  { key: "duration_ns", title: "time", show: time }, { key: "line", title: "line", show: count },
  { key: "pid", title: "task" }, { key: "text", title: "call", text: true, mono: true },
], "duration_ns");
table($("#processes"), data.processes, [
  { key: "pid", title: "pid" }, { key: "parent", title: "parent", show: (value) => value ?? "-" },
  { key: "name", title: "program", text: true, show: (value, row) => `${value || "?"}${row.argv ? "  " + row.argv : ""}` },
  { key: "calls", title: "calls", show: count }, { key: "errors", title: "errors", show: count },
  { key: "wall_ns", title: "in calls", show: time }, { key: "waiting_calls_ns", title: "waiting", show: time },
  { key: "start_s", title: "from", show: seconds }, { key: "end_s", title: "to", show: seconds },
  { key: "fate", title: "end", text: true, value: (row) => row.killed || (row.exit_status === null ? "-" : "exit " + row.exit_status) },
], "calls");
document.documentElement.dataset.ready = "yes";

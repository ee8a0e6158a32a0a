// All processes: the machine, the past of both, and the table.

import { Chart, spark } from "./charts.js";
import { arrange, byId, el, name, say, svg } from "./dom.js";
import { ask } from "./line.js";
import { order } from "./order.js";
import { Spans, begin } from "./spans.js";
import { keyOf } from "./state.js";
import { Table } from "./table.js";
import { clock, command, count, known, moment, rate, share, size } from "./words.js";

const SHOWN = 300;
const CLICK = "click a moment to see the processes of its minute";
const COLUMNS = [
  { id: "name", title: "command", class: "text", hint: "the command line; below its parent", node: commandCell, sort: true },
  { id: "pid", title: "PID", class: "wide", text: (row) => (row.job_ ? "" : String(row.pid)), sort: true },
  { id: "state", title: "S", class: "mid left", hint: "R running, S sleeping, D waiting uninterruptibly, T stopped, Z ended", text: (row) => (row.state === "?" ? "-" : row.state || "") },
  { id: "cpu", title: "CPU %", hint: "of one CPU", text: (row) => (row.job_ ? "" : share(row.cpu_pct)), sort: true },
  { id: "rss", title: "RSS", class: "mid", hint: "resident memory, bytes", text: (row) => (row.job_ ? "" : size(row.rss_bytes)), sort: true },
  { id: "calls", title: "calls/s", hint: "system calls entered a second", text: (row) => (row.job_ ? "" : rate(row.calls_s)), sort: true },
  { id: "errors", title: "err/s", hint: "system calls that failed, a second", node: errorCell, sort: true },
  { id: "working", title: "work %", class: "wide", hint: "time on a CPU inside calls, of one thread's time", text: (row) => (row.job_ ? "" : share(row.working_pct)), sort: true },
  { id: "waiting", title: "wait %", class: "mid", hint: "time switched out inside calls, of one thread's time", text: waitText, sort: true },
  { id: "now", title: "now in", class: "mid left mono", hint: "a call that is in flight", text: (row) => (row.job_ ? "" : row.now || "-") },
  { id: "trend", title: "trend", class: "wide", hint: "calls a second of the last 60 refreshes, the highest full", node: trendCell },
];

function commandCell(td, row) {
  const text = row.job_ || command(row);
  if (td.dataset.text === text && td.dataset.depth === String(row.depth_)) return;
  td.dataset.text = text;
  td.dataset.depth = row.depth_;
  td.style.setProperty("--depth", Math.min(row.depth_, 12));
  const short = text.length > 400 ? `${text.slice(0, 400)}…` : text;
  td.replaceChildren(row.job_ ? el("b", {}, "job ", name(short)) : el("a", { href: `#/process/${keyOf(row)}`, title: short }, name(short)));
}

function errorCell(td, row) {
  say(td, row.job_ ? "" : rate(row.errors_s));
  td.classList.toggle("bad", row.errors_s > 0);
}

function waitText(row) {
  if (row.job_) return "";
  const text = share(row.waiting_pct);
  return row.waits_longer && known(row.waiting_pct) ? `>${text.replace(/^</, "")}` : text;
}

function trendCell(td, row) {
  if (row.job_) return td.replaceChildren();
  if (!td.firstChild) td.append(svg("svg", { class: "spark", width: 92, height: 20, viewBox: "0 0 92 20" }, svg("polyline")));
  const points = spark(row.trail, 92, 20);
  const line = td.firstChild.firstChild;
  if (line.getAttribute("points") !== points) line.setAttribute("points", points);
  return undefined;
}

export class Overview {
  constructor(state) {
    this.state = state;
    this.sort = "cpu";
    this.descending = true;
    this.flat = false;
    this.all = false;
    this.past = null;
    this.asked = 0;
    this.build();
  }

  get query() {
    return {};
  }

  build() {
    this.cards = new Map(["CPU", "memory", "load", "pressure", "calls/s", "errors/s", "processes", "alerts"].map((title) => {
      const value = el("b");
      const more = el("small");
      return [title, { value, more, node: el("div", { class: "card", "data-card": title }, el("span", {}, title), value, more) }];
    }));
    const picked = (at) => this.goTo(at);
    this.charts = {
      calls: new Chart("System calls a second", { format: rate, picked }),
      cpu: new Chart("CPU of the machine, %", { format: share, most: 100, picked }),
    };
    this.spans = new Spans(() => this.load());
    this.word = el("small", {}, CLICK);
    this.search = el("input", { type: "search", id: "filter", placeholder: "filter: name, PID, job, call   ( / )", "aria-label": "filter", autocomplete: "off", spellcheck: "false", oninput: () => this.draw() });
    this.tree = el("button", { type: "button", "aria-pressed": "true", onclick: () => { this.flat = !this.flat; this.draw(); } }, "tree");
    this.shape = el("select", { "aria-label": "sort", class: "narrow", onchange: (event) => this.sortBy(event.target.value, true) },
      ...COLUMNS.filter((column) => column.sort).map((column) => el("option", { value: column.id }, `by ${column.title}`)));
    this.table = new Table(COLUMNS, { keyOf: (row) => row.key_, sorted: (id) => this.sortBy(id), label: "processes",
      picked: (row) => { if (!row.job_) location.hash = `#/process/${keyOf(row)}`; } });
    this.more = el("button", { type: "button", class: "more", hidden: true, onclick: () => { this.all = true; this.draw(); } });
    this.then = el("p", { class: "then", hidden: true });
    this.empty = el("p", { class: "empty", hidden: true });
    this.node = el("div", { class: "overview" },
      el("div", { class: "cards" }, ...[...this.cards.values()].map((card) => card.node)),
      el("section", { class: "past" }, el("div", { class: "bar" }, el("h2", {}, "The last"), this.spans.node, this.word),
        el("div", { class: "pair" }, this.charts.calls.node, this.charts.cpu.node)),
      el("div", { class: "bar tools" }, this.search, this.tree, this.shape),
      this.then, this.table.node, this.empty, this.more);
  }

  sortBy(id, keep = false) {
    this.descending = id === this.sort && !keep ? !this.descending : id !== "name";
    this.sort = id;
    this.draw();
  }

  key(event) {
    if (event.key !== "/" || event.target.closest("input, select")) return;
    event.preventDefault();
    this.search.focus();
  }

  async load() {
    this.span = null;
    say(this.word, CLICK);
    if (this.spans.seconds > 900) {
      const until = Date.now() / 1000;
      const since = until - this.spans.seconds;
      this.asked = performance.now();
      const points = await this.ask("/api/host", { since: since.toFixed(0), until: until.toFixed(0) });
      if (points === null) say(this.word, "no history");
      this.span = { since, until, points: points || [] };
    }
    this.drawCharts();
  }

  async goTo(at) {
    const found = at === null ? null : await this.ask("/api/minute", { at: at.toFixed(0) });
    if (found === undefined) return;
    this.past = at !== null && found === null ? { none: true } : found;
    this.draw();
  }

  /** An answer; undefined where there is none, which is said. */
  async ask(path, fields) {
    try {
      return await ask(path, fields);
    } catch (error) {
      say(this.word, error.message);
      return undefined;
    }
  }

  show() {
    if (this.span && performance.now() - this.asked > 60000) this.load();
    this.drawCards();
    this.drawCharts();
    this.draw();
  }

  drawCards() {
    const { head } = this.state;
    if (!head) return;
    const { machine } = head;
    const set = (title, value, more, bad = false) => {
      const card = this.cards.get(title);
      say(card.value, value);
      say(card.more, more);
      card.node.classList.toggle("bad", bad);
    };
    set("CPU", `${share(machine.cpu_pct)} %`, `of ${machine.cpus} CPUs`);
    set("memory", size(machine.memory_used_bytes), `of ${size(machine.memory_bytes)}`);
    set("load", machine.load ? machine.load[0].toFixed(2) : "-", machine.load ? machine.load.slice(1).map((value) => value.toFixed(2)).join("  ") : "");
    const pressures = Object.entries(machine.pressure || {});
    set("pressure", pressures.length ? `${share(Math.max(...pressures.map(([, value]) => value)))} %` : "-", pressures.map(([what, value]) => `${what.slice(0, 3)} ${share(value)}`).join("  ") || "no PSI here");
    set("calls/s", rate(head.calls_s), head.tracer ? "entered" : "not counted");
    set("errors/s", rate(head.errors_s), "failed", head.errors_s > 0);
    set("processes", count(this.state.rows.size), head.tracer === null ? "not counted" : `${count(head.watched)} counted`);
    set("alerts", count(head.alerts), head.alerts ? "open" : "none open", head.alerts > 0);
  }

  drawCharts() {
    const live = this.span === null || this.span === undefined;
    const now = this.state.head ? this.state.head.epoch_s : Date.now() / 1000;
    const points = live ? this.state.totals : this.span.points;
    const [since, until] = live ? [begin(points, now - 900, now), now] : [this.span.since, this.span.until];
    const line = (field) => points.map((point) => [point.time, point[field]]);
    const marks = [
      ...this.state.alerts.map((alert) => ({ time: alert.opened, until: alert.closed ?? until, text: `alert: ${alert.text}`, severe: true })),
      ...this.state.notes.filter((note) => note.kind.startsWith("service_")).map((note) => ({ time: note.epoch_s, text: note.text })),
    ].filter((mark) => (mark.until ?? mark.time) >= since);
    this.charts.calls.show({ since, until, marks, series: [{ name: "calls", color: "c-calls", values: line("calls_s"), area: true }, { name: "errors", color: "c-errors", values: line("errors_s") }] });
    this.charts.cpu.show({ since, until, marks, series: [{ name: "CPU", color: "c-cpu", values: line("cpu_pct"), area: true }, { name: "pressure", color: "c-wait", values: line("pressure_pct") }] });
  }

  draw() {
    this.table.mark(this.sort, this.descending);
    this.shape.value = this.sort;
    this.tree.setAttribute("aria-pressed", String(!this.flat));
    const rows = this.past ? (this.past.processes || []).map((row) => ({ ...row, trail: row.trail || [] })) : this.state.rows.values();
    const lines = order(rows, { sort: this.sort, descending: this.descending, filter: this.search.value, flat: this.flat })
      .map(({ row, depth, job }) => (row ? { ...row, depth_: depth, key_: keyOf(row) } : { job_: job, depth_: 0, key_: `job ${job}`, kind_: "job" }));
    const shown = this.all ? lines : lines.slice(0, SHOWN);
    this.table.show(shown);
    this.more.hidden = shown.length === lines.length;
    say(this.more, `${count(lines.length - shown.length)} more: show all`);
    this.drawThen();
    this.empty.hidden = lines.length > 0 || !this.state.head;
    say(this.empty, this.search.value ? "No process has this in its name, PID, job or call." : "Nothing is watched. Type: straced watch add name:PROGRAM");
  }

  drawThen() {
    this.then.hidden = this.past === null;
    if (this.past === null || this.then.dataset.at === String(this.past.epoch_s)) return;
    this.then.dataset.at = this.past.epoch_s;
    const at = this.past.epoch_s;
    const go = (text, to) => el("button", { type: "button", onclick: () => this.goTo(to) }, text);
    const words = this.past.none ? ["No history."] : [go("◀", at - 60), el("b", {}, `The minute of ${moment(at).replace(/:\d\d$/, "")} to ${clock(at + 60, false)}`), go("▶", at + 60)];
    arrange(this.then, [...words.map((each) => (typeof each === "string" ? el("b", {}, each) : each)), el("button", { type: "button", class: "now", onclick: () => { this.then.dataset.at = ""; this.goTo(null); } }, "back to now"),
      el("small", {}, this.past.none ? "" : this.past.quality.reasons.map((reason) => reason.text).join("; "))]);
  }

  close() {
    byId("tip").hidden = true;
  }
}

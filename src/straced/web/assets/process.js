// One process: its figures, its past with alerts and events, its calls, threads and files.

import { ByFilePart } from "./byfile.js";
import { CallsPart } from "./calls.js";
import { Chart } from "./charts.js";
import { byId, el, name, say } from "./dom.js";
import { Latency } from "./latency.js";
import { ask } from "./line.js";
import { here } from "./route.js";
import { KINDS as SLOW, SlowPart } from "./slow.js";
import { Spans, begin } from "./spans.js";
import { Table } from "./table.js";
import { WhyPart } from "./why.js";
import { age, brief, clock, command, count, known, moment, rate, share, size, spoken, time } from "./words.js";

const THREADS = [
  { id: "tid", title: "TID", text: (row) => String(row.tid) },
  { id: "state", title: "S", class: "left", text: (row) => row.state },
  { id: "cpu", title: "CPU %", text: (row) => share(row.cpu_pct) },
  { id: "for", title: "in call ≥", hint: "time in this call without a context switch", text: (row) => time(row.for_ns) },
  { id: "call", title: "call", class: "left mono", text: (row) => row.call || "-" },
  { id: "name", title: "name", class: "text", node: (td, row) => named(td, row.comm) },
  { id: "place", title: "sleeps in", class: "left mono mid", text: (row) => row.place || "-" },
];
const FILES = [
  { id: "fd", title: "fd", text: (row) => String(row.fd) },
  { id: "kind", title: "kind", class: "left", text: (row) => row.kind },
  { id: "mode", title: "mode", class: "left mid", text: (row) => row.mode },
  { id: "position", title: "position", class: "mid", text: (row) => count(row.position) },
  { id: "name", title: "name", class: "text mono", node: (td, row) => named(td, row.name) },
];

const POINTS = 240;
const POINT_MS = 5000;

export function named(td, text) {
  if (td.dataset.text === text) return;
  td.dataset.text = text;
  td.replaceChildren(name(text));
}

export class Process {
  /** listen: the line is to ask for what `query` says now. */
  constructor(state, key, listen = () => {}) {
    this.state = state;
    this.listen = () => {};
    this.key_ = key;
    [this.pid, this.start] = key.split("-").map(Number);
    this.asked = 0;
    this.looks = 0;
    this.past = null;
    this.last = null;
    this.build();
    this.restore(here().fields);
    this.listen = listen;
  }

  /** What the URL says is shown. */
  restore(fields) {
    this.spans.restore(fields);
    this.calls.restore(fields);
    this.why.restore();
    this.byFile.restore(fields);
    this.load();
  }

  key(event) {
    return { w: () => this.why.toggle(), f: () => this.byFile.toggle(), Escape: () => { if (!this.spans.out()) location.hash = "#/"; } }[event.key];
  }

  get query() {
    return { pid: this.pid, start: this.start };
  }

  /** What the line is to tell of. */
  get told() {
    return this.byFile.on ? { ...this.query, files: 1 } : this.query;
  }

  build() {
    this.title = el("h1");
    this.words = el("p", { class: "cmdline mono" });
    this.facts = el("dl", { class: "facts" });
    this.spans = new Spans(() => this.load());
    this.note = el("small");
    this.why = new WhyPart(this.key_);
    const chart = (title, options) => new Chart(title, { dragged: (since, until) => this.spans.drag(since, until), ...options });
    this.charts = {
      calls: chart("System calls a second", { format: rate, axis: brief }),
      time: chart("Thread time, %", { format: share, stack: true }),
      memory: chart("Resident memory", { format: size }),
    };
    this.latency = new Latency(this.key_, { dragged: (since, until) => this.spans.drag(since, until) });
    this.calls = new CallsPart(() => this.spanCalls(), () => this.drawLatency());
    this.slow = new SlowPart("process");
    this.byFile = new ByFilePart(() => this.listen());
    this.threads = new Table(THREADS, { keyOf: (row) => row.tid, label: "threads" });
    this.files = new Table(FILES, { keyOf: (row) => row.fd, label: "files" });
    this.counts = { threads: el("small"), files: el("small") };
    this.events = el("ol", { class: "events" });
    const part = (title, id, ...inside) => el("section", { id }, el("div", { class: "bar" }, el("h2", {}, title), this.counts[id] || null), ...inside);
    this.node = el("div", { class: "process" }, el("p", { class: "back" }, el("a", { href: "#/" }, "◀ all processes")), el("div", { class: "head" }, this.title, this.why.button), this.words, this.why.node, this.facts,
      el("section", { id: "history" }, el("div", { class: "bar" }, el("h2", {}, "History"), this.spans.node, this.note),
        el("div", { class: "pair three" }, ...Object.values(this.charts).map((each) => each.node)), this.latency.node),
      this.calls.node, this.slow.node, this.byFile.node,
      el("div", { class: "columns" }, part("Threads", "threads", this.threads.node), part("Events and alerts", "events", this.events)),
      part("Files and sockets", "files", this.files.node));
  }

  span() {
    const until = this.state.head ? this.state.head.epoch_s + 0.001 : Date.now() / 1000;
    return this.spans.range(until);
  }

  async load() {
    this.asked = performance.now();
    const { since, until } = this.span();
    const fields = { ...this.query, since: since.toFixed(3), until: until.toFixed(3) };
    try {
      const [past, slow] = await Promise.all([ask("/api/process", fields), ask("/api/slow", fields)]);
      this.past = { since, until, ...(past || { none: true, points: [], notes: [], alerts: [] }) };
      this.slow.show(slow);
    } catch (error) {
      say(this.note, error.message);
      return;
    }
    this.drawPast();
    this.paint();
    this.drawLatency();
    if (this.calls.source === "span") await this.calls.load();
  }

  async spanCalls() {
    const { since, until } = this.past || this.span();
    return ask("/api/calls", { ...this.query, since: since.toFixed(3), until: until.toFixed(3) });
  }

  show() {
    this.paint();
    if (this.spans.zoom) return;
    const patience = Math.min(30000, Math.max(POINT_MS, this.spans.seconds * 1000 / POINTS));  // a point of the charts, no sooner
    const left = this.last && !this.state.rows.has(this.key_) && !this.past?.life?.end;  // history tells how it ended
    this.looks = left ? this.looks : 0;
    if (performance.now() - this.asked <= (left ? Math.min(patience, 500 * 2 ** this.looks) : patience)) return;
    if (left) this.looks++;
    this.load();
  }

  paint() {
    const row = this.state.rows.get(this.key_);
    if (row) this.last = row;
    const { seen } = this.state;
    const mine = seen && seen.key[0] === this.pid && seen.key[1] === this.start ? seen : null;
    const life = this.past?.life;
    const shown = this.last || (life ? { pid: this.pid, comm: life.comm, cmdline: life.cmdline, job: life.job } : null);
    this.drawHead(shown, mine, !row && (mine?.detail.gone || life?.end), life);
    if (mine) this.drawSeen(mine);
  }

  drawHead(row, seen, ended, life) {
    this.why.button.hidden = Boolean(ended) || !row;
    if (!row) {
      say(this.title, this.past ? `Process ${this.pid} is not watched now, nor in this span of the history` : "looking");
      return;
    }
    const [first, rest] = spoken(row);
    const short = first.slice(0, 15) === row.comm.slice(0, 15) ? first + rest : row.comm;
    if (this.title.dataset.text !== short + ended) {
      this.title.dataset.text = short + ended;
      this.title.replaceChildren(String(this.pid), " ", name(short.length > 80 ? `${short.slice(0, 80)}…` : short), ended ? el("em", { class: "ended" }, "ended") : "");
      document.title = `${this.pid} · straced`;
    }
    named(this.words, command(row));
    this.words.title = command(row);
    this.words.hidden = command(row) === short;  // it is the title already
    const facts = [["job", row.job], ["user", this.state.head?.users?.[row.uid] ?? row.uid], ["parent", row.ppid], ["state", row.state], ["threads", row.threads], ["CPU", known(row.cpu_pct) && `${share(row.cpu_pct)} %`],
      ["memory", known(row.rss_bytes) && size(row.rss_bytes)], ["calls/s", rate(row.calls_s)], ["errors/s", rate(row.errors_s)],
      ["working", `${share(row.working_pct)} %`], ["waiting", row.waits_longer && !row.waiting_pct ? "-" : `${row.waits_longer ? "> " : ""}${share(row.waiting_pct)} %`], ["now in", row.now]];
    const ends = ended && life?.end ? [["end", `${life.end}${known(life.exit_status) ? ` ${life.exit_status}` : ""}, ${moment(life.last)}`]] : [];
    const missing = seen?.detail.unreadable?.length ? [["not seen", seen.detail.unreadable.join(", ")]] : [];
    const wanted = [...(ended ? facts.slice(0, 3) : facts), ...ends, ...missing].filter(([, value]) => known(value) && value !== false && value !== "");
    this.facts.replaceChildren(...wanted.map(([what, value]) => el("div", { "data-fact": what }, el("dt", {}, what), el("dd", {}, name(String(value))))));
  }

  drawSeen({ detail, whole }) {
    this.calls.show(detail, whole, this.state.head);
    this.drawLatency();
    this.byFile.show(detail.by_file);
    const threads = [...(detail.threads || [])].sort((a, b) => (b.for_ns ?? -1) - (a.for_ns ?? -1) || a.tid - b.tid);
    this.threads.show(threads);
    say(this.counts.threads, detail.threads ? count(threads.length) : "not to be seen");
    this.files.show(detail.files || []);
    say(this.counts.files, detail.files ? count(detail.files.length + detail.more_files) + (detail.more_files ? `, the first ${detail.files.length} are shown` : "") : "not to be seen");
  }

  drawPast() {
    const { until, points, alerts, none, fine } = this.past;
    const notes = this.past.notes.filter((note) => !SLOW.includes(note.kind));  // they have a table
    const since = fine ? begin(points, this.past.since, until) : this.past.since;
    this.begin = since;
    say(this.note, none ? "no history" : fine ? "from each sample" : "from one-minute and one-hour sums: a wait stands where it ended");
    const line = (field) => points.map((point) => [point.time, point[field] ?? null]);
    const outside = points.map(({ time, cpu_pct, working_pct }) => [time, known(cpu_pct) && known(working_pct) ? Math.max(0, cpu_pct - working_pct) : null]);
    const marks = this.marks = [
      ...alerts.map((alert) => ({ time: alert.opened, until: alert.closed ?? Infinity, text: `alert: ${alert.text}`, severe: true })),
      ...notes.filter((note) => !note.kind.startsWith("alert_")).map((note) => ({ time: note.epoch_s, text: `${note.kind}: ${note.text}`, severe: note.severe })),
    ];
    this.charts.calls.show({ since, until, marks, series: [{ name: "calls", color: "c-calls", values: line("calls_s"), area: true }, { name: "errors", color: "c-errors", values: line("errors_s") }] });
    this.charts.time.show({ since, until, marks, series: [{ name: "CPU in calls", color: "c-work", values: line("working_pct"), area: true }, { name: "outside", color: "c-cpu", values: outside, area: true }, { name: "waiting", color: "c-wait", values: line("waiting_pct"), area: true }] });
    this.charts.memory.show({ since, until, marks, series: [{ name: "RSS", color: "c-memory", values: line("rss_bytes"), area: true }] });
    const lines = [...alerts.map((alert) => ({ time: alert.opened, kind: "alert", text: alert.text + (alert.closed ? ` (closed after ${age(alert.closed - alert.opened)})` : ""), severe: !alert.closed })),
      ...notes.map((note) => ({ time: note.epoch_s, kind: note.kind, text: note.text, severe: note.severe }))].sort((a, b) => b.time - a.time);
    this.events.replaceChildren(...lines.map((each) => el("li", { class: each.severe ? "severe" : null }, el("time", { title: moment(each.time) }, clock(each.time)), el("b", {}, each.kind), name(each.text))));
    if (!lines.length) this.events.append(el("li", { class: "none" }, "nothing in this span"));
  }

  drawLatency() {
    if (!this.past) return;
    const { since, until } = this.past;
    this.latency.show(this.calls.picked, { since, until, live: !this.spans.zoom, begin: this.begin }, this.marks || [], this.slow.calls);
  }

  close() {
    this.why.close();
    byId("tip").hidden = true;
  }
}

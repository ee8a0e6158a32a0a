// All processes: the machine, the past of both, and the table.

import { Cards } from "./cards.js";
import { Chart } from "./charts.js";
import { COLUMNS } from "./columns.js";
import { arrange, byId, el, say } from "./dom.js";
import { Flags, about } from "./flags.js";
import { ask } from "./line.js";
import { order } from "./order.js";
import { here, link, note, number } from "./route.js";
import { Spans, begin } from "./spans.js";
import { keyOf } from "./state.js";
import { Table } from "./table.js";
import { brief, clock, count, moment, rate, share } from "./words.js";

const SHOWN = 300;
const HINT = "click: the processes of that minute · drag: zoom";
const GROUPS = [["tree", "as a tree"], ["flat", "flat"], ["program", "by program"], ["job", "by job"]];
const SORT = "calls";

export class Overview {
  constructor(state) {
    this.state = state;
    this.all = false;
    this.past = null;
    this.older = [];
    this.asked = -Infinity;
    this.opened = new Set();
    this.build();
    this.restore(here().fields);
  }

  get query() {
    return {};
  }

  build() {
    this.cards = new Cards();
    this.flags = new Flags();
    const options = { picked: (at) => this.goTo(Math.floor(at / 60) * 60), dragged: (since, until) => this.spans.drag(since, until) };
    this.charts = {
      calls: new Chart("System calls a second", { format: rate, axis: brief, ...options }),
      cpu: new Chart("CPU of the machine, %", { format: share, most: 100, ...options }),
    };
    this.spans = new Spans(() => this.load());
    this.word = el("small", {}, HINT);
    this.search = el("input", { type: "search", id: "filter", placeholder: "filter: any text; or call:read user:www job:build   ( / )", "aria-label": "filter: any text, or call: user: job:", autocomplete: "off", spellcheck: "false",
      oninput: () => { note({ filter: this.search.value || null }, false); this.draw(); } });
    this.shape = el("select", { "aria-label": "shown", id: "group", onchange: () => this.groupBy(this.shape.value) }, ...GROUPS.map(([value, title]) => el("option", { value }, title)));
    this.sorts = el("select", { "aria-label": "sort", class: "narrow", onchange: () => this.sortBy(this.sorts.value, true) },
      ...COLUMNS.filter((column) => column.sort).map((column) => el("option", { value: column.id }, `by ${column.title}`)));
    this.found = el("small", { role: "status" });
    this.table = new Table(COLUMNS, { keyOf: (row) => row.key_, sorted: (id) => this.sortBy(id), label: "processes", picked: (row) => this.pick(row) });
    this.more = el("button", { type: "button", class: "more", hidden: true, onclick: () => { this.all = true; this.draw(); } });
    this.then = el("p", { class: "then", hidden: true });
    this.empty = el("p", { class: "empty", hidden: true });
    this.node = el("div", { class: "overview" }, el("h1", { class: "unseen" }, "Processes"), this.cards.node, this.flags.node,
      el("section", { class: "past" }, el("div", { class: "bar" }, el("h2", {}, "The last"), this.spans.node, this.word),
        el("div", { class: "pair" }, this.charts.calls.node, this.charts.cpu.node)),
      el("div", { class: "bar tools" }, this.search, this.shape, this.sorts, this.found),
      this.then, this.table.node, this.empty, this.more);
  }

  /** What the URL says is shown. */
  restore(fields) {
    this.sort = COLUMNS.some((column) => column.sort && column.id === fields.sort) ? fields.sort : SORT;
    this.descending = fields.order ? fields.order === "down" : this.sort !== "name";
    this.group = GROUPS.some(([value]) => value === fields.group) ? fields.group : "tree";
    if (document.activeElement !== this.search) this.search.value = fields.filter || "";
    this.spans.restore(fields);
    const minute = number(fields.minute);
    if (minute !== this.minute) this.goTo(minute, false);
    this.load();
    this.draw();
  }

  sortBy(id, keep = false) {
    this.descending = id === this.sort && !keep ? !this.descending : id !== "name";
    this.sort = id;
    const usual = this.descending === (id !== "name");
    note({ sort: id === SORT ? null : id, order: usual ? null : this.descending ? "down" : "up" });
    this.draw();
  }

  groupBy(group) {
    this.group = group;
    note({ group: group === "tree" ? null : group });
    this.draw();
  }

  pick(row) {
    if (row.group_ !== undefined) {
      if (!this.opened.delete(row.group_)) this.opened.add(row.group_);
      this.draw();
    } else if (row.job_ === undefined && !row.brief_) location.hash = link(`/process/${keyOf(row)}`);
  }

  key(event) {
    const steps = { "/": () => this.search.focus(), j: () => this.table.step(1), k: () => this.table.step(-1), ArrowDown: () => this.table.step(1), ArrowUp: () => this.table.step(-1),
      w: () => this.why(), g: () => this.groupBy(GROUPS[(GROUPS.findIndex(([value]) => value === this.group) + 1) % GROUPS.length][0]),
      s: () => this.sortBy(this.nextSort(), true), "[": () => this.goTo((this.minute ?? Math.floor(Date.now() / 60000) * 60) - 60), "]": () => this.minute && this.goTo(this.minute + 60),
      Escape: () => (this.minute !== null ? this.goTo(null) : this.spans.out()) };
    return steps[event.key];
  }

  nextSort() {
    const sorts = COLUMNS.filter((column) => column.sort).map((column) => column.id);
    return sorts[(sorts.indexOf(this.sort) + 1) % sorts.length];
  }

  why() {
    const row = this.table.focused;
    if (row && row.pid > 0 && row.group_ === undefined) location.hash = link(`/process/${keyOf(row)}`, { why: "1" });
  }

  async load() {
    this.span = null;
    if (this.state.head) this.asked = performance.now();
    say(this.word, HINT);
    const now = this.state.head ? this.state.head.epoch_s : Date.now() / 1000;
    const { since, until } = this.spans.range(now);
    const kept = this.state.totals.length ? this.state.totals[0].time : now;
    if (this.spans.zoom ? since < kept : this.spans.seconds > 900) {
      const points = await this.ask("/api/host", { since: since.toFixed(0), until: until.toFixed(0) });
      if (points === null) say(this.word, "no history");
      this.span = { since, until, points: points || [] };
    } else if (this.state.head && since < kept) {  // the service was started, or began to look faster, since then
      this.older = (await this.ask("/api/host", { since: since.toFixed(0), until: kept.toFixed(0) })) || [];
    }
    this.drawCharts();
  }

  /** The processes of a minute; null: of now. */
  async goTo(at, step = true) {
    this.minute = at;
    if (step) note({ minute: at });
    const found = at === null ? null : await this.ask("/api/minute", { at: at.toFixed(0) });
    if (found === undefined || this.minute !== at) return;
    this.past = at !== null && found === null ? { none: true } : found;
    this.drawCharts();
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
    if (!this.spans.zoom && performance.now() - this.asked > (this.span ? 60000 : 30000)) this.load();
    if (this.state.head) {
      this.cards.show(this.state.head, this.state.rows.size);
      this.flags.show(this.state.open, this.state.head.epoch_s);
    }
    this.drawCharts();
    this.draw();
  }

  drawCharts() {
    const now = this.state.head ? this.state.head.epoch_s : Date.now() / 1000;
    const points = this.span ? this.span.points : this.state.totals;
    const range = this.span || this.spans.range(now);
    const older = this.span || !points.length ? [] : this.older.filter(({ time }) => time >= range.since && time < points[0].time);
    const since = this.span || this.spans.zoom ? range.since : begin(older.length ? older : points, range.since, range.until);
    const { until } = range;
    const shade = this.minute ? [this.minute, this.minute + 60] : null;
    const line = (field, of = points) => of.map((point) => [point.time, point[field]]);
    const series = (name, color, field, area) => (older.length ? [{ name, color, values: line(field, older), area, again: true }] : []).concat({ name, color, values: line(field), area });
    const marks = [
      ...this.state.alerts.map((alert) => ({ time: alert.opened, until: alert.closed ?? now, text: `alert: ${alert.text}`, severe: true })),
      ...this.state.notes.filter((each) => each.kind.startsWith("service_")).map((each) => ({ time: each.epoch_s, text: each.text })),
    ].filter((mark) => (mark.until ?? mark.time) >= since);
    this.charts.calls.show({ since, until, marks, shade, series: [...series("calls", "c-calls", "calls_s", true), ...series("errors", "c-errors", "errors_s")] });
    this.charts.cpu.show({ since, until, marks, shade, series: [...series("CPU", "c-cpu", "cpu_pct", true), ...series("pressure", "c-wait", "pressure_pct")] });
  }

  draw() {
    this.table.mark(this.sort, this.descending);
    this.sorts.value = this.sort;
    this.shape.value = this.group;
    const rows = this.past ? [...(this.past.processes || []).map((row) => ({ ...row, trail: row.trail || [] })), ...this.state.shorts.rows(this.past.short_lived || [])]
      : [...this.state.rows.values(), ...this.state.brief];
    const flagged = new Map(this.past ? [] : this.state.open.map((alert) => [about(alert), alert.text]));
    const lines = order(rows, { sort: this.sort, descending: this.descending, filter: this.search.value, users: this.state.head?.users, group: this.group, opened: this.opened })
      .map(({ row, depth, job }) => (!row ? { job_: job, depth_: 0, key_: `job ${job}`, kind_: "job" }
        : row.group_ !== undefined ? { ...row, depth_: 0, key_: `group ${row.group_}`, kind_: "group", open_: this.opened.has(row.group_) } : { ...row, depth_: depth, key_: keyOf(row), alert_: flagged.get(keyOf(row)), kind_: row.brief_ ? "brief" : "" }));
    const shown = this.all ? lines : lines.slice(0, SHOWN);
    this.table.show(shown);
    this.more.hidden = shown.length === lines.length;
    say(this.more, `${count(lines.length - shown.length)} more: show all`);
    const processes = lines.reduce((sum, row) => sum + (row.job_ !== undefined || row.brief_ ? 0 : row.group_ !== undefined ? (row.open_ ? 0 : row.count_) : 1), 0);
    say(this.found, this.search.value ? `${count(processes)} of ${count(this.past ? (this.past.processes || []).length : this.state.rows.size)}` : "");
    this.drawThen();
    this.empty.hidden = lines.length > 0 || !this.state.head;
    const nothing = this.past ? "Nothing was counted in this minute." : "Nothing is watched. Type: straced watch add name:PROGRAM";
    say(this.empty, this.search.value ? `No process matches "${this.search.value.trim().slice(0, 80)}".` : nothing);
  }

  drawThen() {
    this.then.hidden = this.past === null;
    if (this.past === null) this.then.dataset.at = "";
    const at = this.minute;
    if (this.past === null || this.then.dataset.at === `${at} ${this.past.none}`) return;
    this.then.dataset.at = `${at} ${this.past.none}`;
    const go = (text, to, label) => el("button", { type: "button", "aria-label": label, onclick: () => this.goTo(to) }, text);
    const words = this.past.none ? [el("b", {}, "No history.")] : [go("◀", at - 60, "a minute earlier"), el("b", {}, `The minute of ${moment(at).replace(/:\d\d$/, "")} to ${clock(at + 60, false)}`), go("▶", at + 60, "a minute later")];
    arrange(this.then, [...words, el("button", { type: "button", class: "now", onclick: () => this.goTo(null) }, "back to now"),
      el("small", {}, this.past.none ? "" : this.past.quality.reasons.map((reason) => reason.text).join("; "))]);
  }

  close() {
    byId("tip").hidden = true;
  }
}

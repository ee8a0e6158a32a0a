// The system calls of one process: in the last interval, since attach, or in the span of the charts.

import { el, say } from "./dom.js";
import { histogram } from "./histogram.js";
import { note } from "./route.js";
import { Table } from "./table.js";
import { age, clock, count, countOf, known, rate, share, time } from "./words.js";

const SOURCES = [["window", "last interval"], ["whole", "since attach"], ["span", "span of the charts"]];
const per = (value, whole) => (known(value) && whole > 0 ? value / whole : null);
const keyOf = (row) => `${row.name}@${row.abi}`;

const COLUMNS = [
  { id: "name", title: "syscall", class: "left mono", text: (row) => (row.several_ ? keyOf(row) : row.name), sort: (row) => row.name },
  { id: "rate", title: "calls/s", text: (row) => rate(per(row.calls, row.seconds_)), sort: (row) => row.calls },
  { id: "calls", title: "calls", class: "mid", text: (row) => count(row.calls), sort: (row) => row.calls },
  { id: "errors", title: "errors", node: errors, sort: (row) => row.errors },
  { id: "share", title: "% of time", hint: "of all time in calls", class: "bar-cell", node: shareCell, sort: (row) => row.time_pct },
  { id: "working", title: "working", class: "wide", hint: "on a CPU inside the call", text: (row) => time(row.working_ns), sort: (row) => row.working_ns },
  { id: "waiting", title: "waiting", class: "mid", hint: "switched out inside the call", text: (row) => time(row.waiting_ns), sort: (row) => row.waiting_ns },
  { id: "p50", title: "p50", class: "mid", hint: "half of the calls took at most this", text: (row) => time(row.p50_ns), sort: (row) => row.p50_ns },
  { id: "p99", title: "p99", hint: "99 % of the calls took at most this", text: (row) => time(row.p99_ns), sort: (row) => row.p99_ns },
  { id: "flight", title: "in flight", class: "wide", hint: "calls that have not returned", text: (row) => count(row.in_flight), sort: (row) => row.in_flight },
  { id: "histogram", title: "durations", class: "wide left", hint: "calls by duration, short to long", node: small },
];

function errors(td, row) {
  const words = Object.entries(row.errno || {}).sort((a, b) => b[1] - a[1]).map(([word, calls]) => `${word} ${count(calls)}`).join("  ");
  const text = `${count(row.errors)}|${words}`;
  if (td.dataset.text === text) return;
  td.dataset.text = text;
  td.classList.toggle("bad", row.errors > 0);
  td.replaceChildren(count(row.errors), words ? el("small", { class: "errno" }, words) : "");
}

function shareCell(td, row) {
  if (!td.firstChild) td.append(el("i"), el("span"));
  td.firstChild.style.width = `${Math.min(100, row.time_pct || 0)}%`;
  say(td.lastChild, share(row.time_pct));
}

function small(td, row) {
  const text = JSON.stringify(row.bars_ || []);
  if (td.dataset.text === text) return;
  td.dataset.text = text;
  td.replaceChildren(row.bars_ ? histogram(row.bars_, 120, 20, false) : "");
}

export class CallsPart {
  /** ask(): the calls of the span of the charts; picked(): another call is looked at. */
  constructor(ask, picked) {
    this.ask = ask;
    this.told = picked;
    this.source = "whole";
    this.sort = "share";
    this.descending = true;
    this.chosen = null;
    this.span = null;
    this.table = new Table(COLUMNS, { keyOf, sorted: (id) => this.sortBy(id), picked: (row) => this.pick(keyOf(row)), label: "system calls" });
    this.choice = el("div", { class: "choice", role: "group", "aria-label": "calls of" },
      ...SOURCES.map(([id, title]) => el("button", { type: "button", "data-source": id, onclick: () => { note({ calls: id === "whole" ? null : id }); this.choose(id); } }, title)));
    this.words = el("small");
    this.picture = el("figure", { class: "big-histogram", hidden: true });
    this.node = el("section", { id: "calls" }, el("div", { class: "bar" }, el("h2", {}, "System calls"), this.choice, this.words), this.picture, this.table.node);
    new ResizeObserver(() => this.drawPicture()).observe(this.picture);
    this.mark();
  }

  mark() {
    for (const button of this.choice.children) button.setAttribute("aria-pressed", String(button.dataset.source === this.source));
  }

  /** What the URL says is shown. */
  restore({ calls = "whole", call = null, by = "share", turned }) {
    this.chosen = call;
    this.sort = COLUMNS.some((column) => column.sort && column.id === by) ? by : "share";
    this.descending = (this.sort !== "name") !== (turned === "1");
    if (SOURCES.some(([id]) => id === calls) && calls !== this.source) this.choose(calls);
    else this.draw();
  }

  pick(key) {
    this.chosen = key;
    note({ call: key });
    this.draw();
    this.told();
  }

  /** The call that is looked at: the one that was picked, or the first. */
  get picked() {
    const row = (this.shown || []).find((each) => keyOf(each) === this.chosen) || this.shown?.[0];
    return row ? row.name : this.chosen ? this.chosen.split("@")[0] : null;
  }

  async choose(source) {
    this.source = source;
    this.mark();
    this.span = undefined;
    this.draw();
    if (source === "span") await this.load();
  }

  async load() {
    try {
      this.span = await this.ask();
      this.draw();
    } catch (error) {
      say(this.words, error.message);
    }
  }

  sortBy(id) {
    this.descending = id === this.sort ? !this.descending : id !== "name";
    this.sort = id;
    note({ by: id === "share" ? null : id, turned: this.descending === (id !== "name") ? null : "1" });
    this.draw();
  }

  show(detail, whole, head) {
    this.detail = detail;
    this.whole = whole;
    this.head = head;
    this.draw();
  }

  rows() {
    const { detail, whole, span } = this;
    if (this.source === "window") return { calls: detail?.calls, bars: detail?.bars, seconds: (detail?.duration_ns || 0) / 1e9 };
    if (this.source === "whole") return { calls: whole?.calls, bars: whole?.bars, seconds: 0 };
    return { calls: span?.calls, bars: {}, seconds: span ? span.end - span.start : 0 };
  }

  draw() {
    const { calls, bars, seconds } = this.rows();
    const several = new Set((calls || []).map((row) => row.abi)).size > 1;
    const column = COLUMNS.find((each) => each.id === this.sort);
    const value = (row) => column.sort(row) ?? -1;
    const sign = this.descending ? -1 : 1;
    const compare = (a, b) => sign * (typeof value(a) === "string" ? value(a).localeCompare(value(b)) : value(a) - value(b)) || a.name.localeCompare(b.name);
    this.shown = [...(calls || [])].sort(compare).map((row) => ({ ...row, several_: several, seconds_: seconds, bars_: bars?.[keyOf(row)], kind_: keyOf(row) === this.chosen ? "chosen" : "" }));
    this.table.mark(this.sort, this.descending);
    this.table.node.classList.toggle("no-rate", this.source === "whole");
    this.table.show(this.shown);
    say(this.words, this.said(calls, seconds));
    this.drawPicture();
  }

  said(calls, seconds) {
    if (this.source === "span" && !this.span) return this.span === null ? "no history" : "asking";
    if (!calls) return this.head?.tracer === null ? `not counted: ${this.head.tracer_reason}` : "calls not counted (yet)";
    if (this.source === "whole") return countOf(calls.reduce((sum, row) => sum + (row.calls || 0), 0), "call");
    if (this.source === "window") return `${age(seconds)}`;
    return `${clock(this.span.start)} to ${clock(this.span.end)}${this.span.gaps_s ? `, of which ${age(this.span.gaps_s)} without the service` : ""}; p50 and p99 are not kept`;
  }

  drawPicture() {
    const withBars = (this.shown || []).filter((row) => row.bars_?.length);
    const row = withBars.find((each) => keyOf(each) === this.chosen) || withBars[0];
    this.picture.hidden = !row;
    if (!row || this.picture.clientWidth < 60) return;
    const text = JSON.stringify([keyOf(row), row.bars_, this.picture.clientWidth]);
    if (this.picture.dataset.text === text) return;
    this.picture.dataset.text = text;
    const width = this.picture.clientWidth - 24;
    this.picture.replaceChildren(
      el("figcaption", {}, el("b", { class: "mono" }, row.name), ` ${countOf(row.calls, "call")} by duration, log scale, 4 bars per doubling · p50 ${time(row.p50_ns)} · p99 ${time(row.p99_ns)}`),
      histogram(row.bars_, width, 110, true));
  }
}

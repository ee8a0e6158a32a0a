// Slow calls: a table with the file or peer of each, of one process or of all.

import { el, name, say } from "./dom.js";
import { Table } from "./table.js";
import { clock, count, known, moment, time } from "./words.js";

const text = (td, words) => {
  if (td.dataset.text === words) return;
  td.dataset.text = words;
  td.title = words;
  td.replaceChildren(name(words));
};

const result = (td, row) => {
  say(td, row.inside ? "inside" : row.errno || "ok");
  td.classList.toggle("bad", Boolean(row.errno));
};

/** Of events. */
export const KINDS = ["slow_call", "slow_calls"];

const COLUMNS = [
  { id: "time", title: "began", class: "left", node: (td, row) => { say(td, clock(row.began)); td.title = moment(row.began); } },
  { id: "took", title: "took", hint: "≥: it had not returned when it was told", text: (row) => `${row.inside ? "≥ " : ""}${time(row.took_ns)}` },
  { id: "waited", title: "waited", class: "mid", hint: "switched out inside the call", text: (row) => time(row.waiting_ns) },
  { id: "pid", title: "PID", class: "all", text: (row) => String(row.pid) },
  { id: "thread", title: "thread", class: "left wide", node: (td, row) => text(td, `${row.tid} ${row.thread}`) },
  { id: "call", title: "syscall", class: "left mono", text: (row) => row.call },
  { id: "result", title: "result", class: "left mid", node: result },
  { id: "about", title: "file or peer", class: "text mono", node: (td, row) => text(td, row.about || "-") },
  { id: "text", title: "call", class: "text mono wide", node: (td, row) => text(td, row.text || "-") },
];

export const words = (call) => `${call.call} ${call.inside ? "is in it for" : "took"} ${time(call.took_ns)}${call.errno ? `, ${call.errno}` : ""}${call.about ? `: ${call.about}` : ""}`;

export class SlowPart {
  /** of: "process" or "all". */
  constructor(of) {
    this.table = new Table(of === "all" ? COLUMNS : COLUMNS.filter((column) => column.id !== "pid"), { keyOf: (row) => `${row.tid}-${row.start_ns}`, label: "slow calls" });
    this.words = el("small");
    this.none = el("p", { class: "empty" });
    this.node = el("section", { id: "slow" }, el("div", { class: "bar" }, el("h2", {}, "Slow calls"), this.words), this.table.node, this.none);
    this.show();
  }

  /** found: as /api/slow has it; null where no history is kept. */
  show(found = undefined) {
    const calls = found?.calls || [];
    this.calls = calls;
    this.table.show(calls);
    this.table.node.hidden = !calls.length;
    this.none.hidden = calls.length > 0;
    const limit = known(found?.limit_ns) ? `${time(found.limit_ns)} or more` : "";
    say(this.none, found === undefined ? "asking" : found === null ? "no history" : limit ? `No call took ${limit} in this span.` : "Slow calls are not told now: they need eBPF, and slow.enabled.");
    const left = found?.untold ? `${count(found.untold)} more of all processes left out (slow.per_minute)` : "";
    say(this.words, [calls.length ? count(calls.length) : "", limit, left].filter(Boolean).join(" · "));
  }
}

// Files and peers of a process by time: counted from when it is asked for, and as long as this page is open.

import { el, name, say } from "./dom.js";
import { here, note } from "./route.js";
import { Table } from "./table.js";
import { count, countOf, known, rate, size, time } from "./words.js";

const ASKS = "Which file is synced, which path does not exist, which peer is slow: the calls of this process by file and peer, counted from when you ask, as long as this page is open.";

const text = (td, row) => {
  const words = row.others_ ? "(all others)" : row.name ?? "(not resolved)";
  if (td.dataset.text === words) return;
  td.dataset.text = words;
  td.title = words;
  td.replaceChildren(name(words));
};
const failed = (td, row) => {
  say(td, row.errors || row.errno ? `${count(row.errors)} ${row.errno || ""}` : "0");
  td.classList.toggle("bad", row.errors > 0 || Boolean(row.errno));
};

const COLUMNS = [
  { id: "time", title: "time", hint: "inside calls, all together", text: (row) => time(row.wall_ns) },
  { id: "waited", title: "waited", class: "mid", hint: "switched out inside the calls", text: (row) => time(row.waiting_ns) },
  { id: "calls", title: "calls", text: (row) => count(row.calls) },
  { id: "rate", title: "calls/s", class: "wide", hint: "since the refresh before", text: (row) => (row.others_ ? "" : rate(row.calls_s)) },
  { id: "errors", title: "errors", hint: "with the errno of the last one that tells something", node: failed },
  { id: "bytes", title: "bytes", class: "mid", hint: "read and written", text: (row) => size(row.bytes) },
  { id: "p99", title: "p99", class: "mid", text: (row) => time(row.p99_ns) },
  { id: "max", title: "max", text: (row) => time(row.max_ns) },
  { id: "syncs", title: "syncs", class: "wide", hint: "calls of fsync and fdatasync", text: (row) => (row.syncs ? count(row.syncs) : "") },
  { id: "reply", title: "reply", class: "mid", hint: "of a peer: from what was sent to what came, on average", text: (row) => (row.replies ? time(row.reply_ns / row.replies) : "") },
  { id: "name", title: "file or peer", class: "text mono", node: text },
];

export class ByFilePart {
  /** changed: it is asked for from now on, or not any more. */
  constructor(changed) {
    this.changed = changed;
    this.on = false;
    this.last = this.before = null;
    this.table = new Table(COLUMNS, { keyOf: (row) => row.key_, label: "files and peers by time" });
    Object.assign(this.table.node, { tabIndex: 0, role: "region", ariaLabel: "files and peers by time", hidden: true });
    this.words = el("small");
    this.none = el("p", { class: "empty" }, ASKS);
    this.button = el("button", { type: "button", id: "count-files", "aria-expanded": "false", "aria-controls": "byfile", onclick: () => this.toggle() });
    this.node = el("section", { id: "byfile" }, el("div", { class: "bar" }, el("h2", {}, "By file and peer"), this.button, this.words), this.table.node, this.none);
    this.set(false);
  }

  /** What the URL says: with ?files=1 they are counted. */
  restore(fields) {
    const wanted = fields.files === "1";
    if (wanted !== this.on) this.set(wanted);
  }

  toggle() {
    note({ files: here().fields.files === "1" ? null : "1" });
    this.set(!this.on);
  }

  set(on) {
    const before = this.on;
    this.on = on;
    this.before = this.last;
    say(this.button, on ? "stop counting" : "count them");
    this.button.setAttribute("aria-expanded", String(on));
    this.show(null);
    if (on !== before) this.changed();
  }

  /** told: as `by_file` of /api/live has it; null: nothing is known yet. */
  show(told) {
    this.last = told;
    const window = told === this.before ? null : told;  // of when it was asked for before
    const there = this.on && window && known(window.duration_ns) && !window.unavailable;
    const rows = there ? [...window.rows.map((row, at) => ({ ...row, key_: row.name ?? `?${at}` })), ...(window.others ? [{ ...window.others, others_: true, key_: "(others)" }] : [])] : [];
    this.table.show(rows);
    this.table.node.hidden = !rows.length;
    this.none.hidden = rows.length > 0;
    const ended = window?.ended ? "It ended before anything was counted." : "Counting begins; the first figures are there in a moment.";
    say(this.none, !this.on ? ASKS : window?.unavailable ? `No files and peers: ${window.unavailable}.` : there ? "No call about a file or peer yet." : ended);
    say(this.words, there ? said(window) : "");
    this.words.classList.toggle("bad", Boolean(there && (window.unplaced || window.lost !== 0)));
  }
}

function said(window) {
  const unknown = window.rows.filter((row) => row.name === null).length;
  const lost = known(window.lost) ? window.lost && countOf(window.lost, "call was lost", "calls were lost") : "an unknown number of calls were lost";
  return [`counted for ${time(window.duration_ns)}, ${window.ended ? "until its end" : "since you asked"}`, window.more && `${count(window.more)} more with less time`, window.unplaced && `${countOf(window.unplaced, "call")} in no row`, lost, unknown && `${count(unknown)} without a name`].filter(Boolean).join(" · ");
}

// The columns of the table of processes, for a process, for a job above its tree, and for a group with its sums.

import { el, name, say, svg } from "./dom.js";
import { spark } from "./lines.js";
import { link } from "./route.js";
import { keyOf } from "./state.js";
import { command, count, known, rate, share, size, spoken } from "./words.js";

const only = (text) => (row) => (row.job_ !== undefined ? "" : text(row));
const of = (text) => (row) => (row.job_ !== undefined || row.group_ !== undefined || row.brief_ ? "" : text(row));
const sum = (field, text) => only((row) => (row.partial_?.has(field) ? "≥" : "") + text(row[field]));

export const COLUMNS = [
  { id: "name", title: "command", class: "text", hint: "the command line; below its parent", node: commandCell, sort: true },
  { id: "pid", title: "PID", class: "wide", text: of((row) => String(row.pid)), sort: true },
  { id: "state", title: "S", class: "mid left", hint: "R running, S sleeping, D waiting uninterruptibly, T stopped, Z ended", text: of((row) => (row.state === "?" ? "-" : row.state || "")) },
  { id: "cpu", title: "CPU %", hint: "of one CPU", text: sum("cpu_pct", share), sort: true },
  { id: "rss", title: "RSS", class: "mid", hint: "resident memory, bytes; of a group added up, shared pages with each", text: sum("rss_bytes", size), sort: true },
  { id: "calls", title: "calls/s", hint: "system calls entered a second", text: sum("calls_s", rate), sort: true },
  { id: "errors", title: "err/s", hint: "system calls that failed, a second", node: errorCell, sort: true },
  { id: "working", title: "work %", class: "wide", hint: "time on a CPU inside calls, of one thread's time", text: sum("working_pct", share), sort: true },
  { id: "waiting", title: "wait %", class: "mid", hint: "time switched out inside calls, of one thread's time", text: waitText, sort: true },
  { id: "now", title: "now in", class: "mid left mono", hint: "a call that is in flight", text: of((row) => row.now || "-") },
  { id: "trend", title: "trend", class: "wide", hint: "calls a second of the last 60 refreshes, the highest full", node: trendCell },
];

function commandCell(td, row) {
  const text = row.job_ ?? row.group_ ?? command(row);
  const mark = `${text}|${row.depth_}|${row.count_ ?? row.ended ?? ""}|${row.open_ ?? ""}|${row.alert_ ?? ""}`;
  if (td.dataset.text === mark) return;
  td.dataset.text = mark;
  td.style.setProperty("--depth", Math.min(row.depth_, 12));
  td.title = text.slice(0, 400);
  if (row.job_ !== undefined) td.replaceChildren(el("b", {}, "job ", name(text.slice(0, 400))));
  else if (row.group_ !== undefined) {
    td.replaceChildren(el("button", { type: "button", class: "fold", "aria-expanded": String(row.open_) }, el("b", {}, name(text.slice(0, 400)))), el("small", {}, row.count_ ? ` × ${row.count_}` : " short-lived"));
  } else if (row.brief_) {
    td.replaceChildren(name(text, { class: "program" }), el("small", {}, row.ended ? ` × ${count(row.ended)} short-lived` : " short-lived"));
  } else {
    const [first, rest] = spoken(row);
    const short = rest.length > 400 ? `${rest.slice(0, 400)}…` : rest;
    td.replaceChildren(row.alert_ ? el("span", { class: "flagged", role: "img", "aria-label": `alert: ${row.alert_}`, title: row.alert_ }, "⚑ ") : "", el("a", { href: link(`/process/${keyOf(row)}`) }, name(first, { class: "program" }), name(short)));
  }
}

function errorCell(td, row) {
  say(td, row.job_ !== undefined ? "" : (row.partial_?.has("errors_s") ? "≥" : "") + rate(row.errors_s));
  td.classList.toggle("bad", row.errors_s > 0);
}

function waitText(row) {
  if (row.job_ !== undefined) return "";
  const text = share(row.waiting_pct);
  if (!(row.waits_longer || row.partial_?.has("waiting_pct")) || !known(row.waiting_pct)) return text;
  return row.waiting_pct > 0 ? `>${text.replace(/^</, "")}` : "-";  // more than nothing is unknown
}

function trendCell(td, row) {
  if (row.job_ !== undefined || row.group_ !== undefined) return td.replaceChildren();
  if (!td.firstChild) td.append(svg("svg", { class: "spark", width: 92, height: 20, viewBox: "0 0 92 20", "aria-hidden": "true" }, svg("polyline")));
  const points = spark(row.trail, 92, 20);
  const line = td.firstChild.firstChild;
  if (line.getAttribute("points") !== points) line.setAttribute("points", points);
  return undefined;
}

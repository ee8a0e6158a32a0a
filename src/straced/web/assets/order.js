// Which processes are shown, in which order, how deep in the tree; as straced top has it.

import { grouped } from "./groups.js";
import { known } from "./words.js";

const FIELDS = {
  cpu: (row) => row.cpu_pct, calls: (row) => row.calls_s, errors: (row) => row.errors_s, working: (row) => row.working_pct,
  waiting: (row) => row.waiting_pct, rss: (row) => row.rss_bytes, pid: (row) => -row.pid,
};

const ASKED = { call: (row) => row.now || "", user: (row, users) => (known(row.uid) ? `${users[row.uid] ?? ""} ${row.uid}` : ""), job: (row) => row.job || "" };

/** What a filter leaves: words with a prefix (call:read user:www job:build) ask one column, the rest is one text. */
export function filtered(text, users = {}) {
  const words = text.trim().toLowerCase().split(" ").map((word) => [word, word.slice(0, word.indexOf(":"))]);
  const asked = words.filter(([, prefix]) => ASKED[prefix]).map(([word, prefix]) => [ASKED[prefix], word.slice(prefix.length + 1)]);
  const rest = words.filter(([, prefix]) => !ASKED[prefix]).map(([word]) => word).join(" ").trim();
  const texts = (row) => [row.cmdline, row.comm, row.pid > 0 ? String(row.pid) : "", row.job || "", row.now || ""];
  return (row) => asked.every(([field, wanted]) => field(row, users).toLowerCase().includes(wanted)) && (!rest || texts(row).some((each) => each.toLowerCase().includes(rest)));
}

const rank = (row, sort) => {
  const value = FIELDS[sort] ? FIELDS[sort](row) : 0;
  return known(value) ? value : -Infinity;
};

/** Lines, top to bottom: {row, depth} or {job}; `group` is tree, flat, program or job, `opened` has the open groups. */
export function order(rows, { sort, descending, filter, users, group, opened }) {
  const shown = [...rows].filter(filtered(filter, users));
  const sign = descending ? 1 : -1;
  const compare = (a, b) => {
    if (sort === "name") return -sign * (a.cmdline || a.comm).localeCompare(b.cmdline || b.comm) || a.pid - b.pid;
    const [left, right] = [rank(a, sort), rank(b, sort)];
    if (left === right) return a.pid - b.pid;
    if (left === -Infinity || right === -Infinity) return left === -Infinity ? 1 : -1;
    return sign * (right - left);
  };
  if (group === "program" || group === "job") {
    return grouped(shown, group).sort(compare).flatMap((row) => [{ row, depth: 0 },
      ...(opened.has(row.group_) ? row.members_.sort(compare).map((member) => ({ row: member, depth: 1 })) : [])]);
  }
  if (group === "flat" || sort === "name") return shown.sort(compare).map((row) => ({ row, depth: 0 }));
  const jobs = [...new Set(shown.map((row) => row.job).filter(known))].sort();
  return [
    ...jobs.flatMap((job) => [{ job }, ...tree(shown.filter((row) => row.job === job), sort, sign, 1)]),
    ...tree(shown.filter((row) => !known(row.job)), sort, sign, 0),
  ];
}

/** Children below their parents; of siblings the one first that has the most, itself or below it. */
function tree(rows, sort, sign, depth) {
  const byPid = new Map(rows.map((row) => [row.pid, row]));
  const below = new Map();
  for (const row of rows) {
    const parent = row.ppid !== row.pid && byPid.has(row.ppid) ? row.ppid : 0;
    below.set(parent, [...(below.get(parent) || []), row]);
  }
  const best = new Map();
  const walk = [...(below.get(0) || [])];
  for (const row of walk) walk.push(...(below.get(row.pid) || []));
  for (const row of walk.reverse()) {
    const values = [rank(row, sort), ...(below.get(row.pid) || []).map((child) => best.get(child.pid))].filter((value) => value !== -Infinity);
    best.set(row.pid, values.length ? (sign > 0 ? Math.max(...values) : Math.min(...values)) : -Infinity);
  }
  const lines = [];
  const sorted = (pid) => [...(below.get(pid) || [])].sort((a, b) => {
    const [left, right] = [best.get(a.pid), best.get(b.pid)];
    if (left === right) return a.pid - b.pid;
    if (left === -Infinity || right === -Infinity) return left === -Infinity ? 1 : -1;
    return sign * (right - left);
  });
  const stack = sorted(0).reverse().map((row) => ({ row, depth }));
  while (stack.length) {
    const line = stack.pop();
    lines.push(line);
    stack.push(...sorted(line.row.pid).reverse().map((row) => ({ row, depth: line.depth + 1 })));
  }
  return lines;
}

// Which processes are shown, in which order, how deep in the tree; as straced top has it.

import { grouped } from "./groups.js";
import { known } from "./words.js";

const FIELDS = {
  cpu: (row) => row.cpu_pct, calls: (row) => row.calls_s, errors: (row) => row.errors_s, working: (row) => row.working_pct,
  waiting: (row) => row.waiting_pct, rss: (row) => row.rss_bytes, pid: (row) => -row.pid,
};

export function matches(row, wanted) {
  if (!wanted) return true;
  return [row.cmdline, row.comm, String(row.pid), row.job || "", row.now || ""].some((text) => text.toLowerCase().includes(wanted));
}

const rank = (row, sort) => {
  const value = FIELDS[sort] ? FIELDS[sort](row) : 0;
  return known(value) ? value : -Infinity;
};

/** Lines, top to bottom: {row, depth} or {job}; `group` is tree, flat, program or job, `opened` has the open groups. */
export function order(rows, { sort, descending, filter, group, opened }) {
  const shown = [...rows].filter((row) => matches(row, filter.trim().toLowerCase()));
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

// Processes of one program, or of one job, as one line with sums. A sum with an unknown part is said to be at least that.

import { known, spoken } from "./words.js";

const SUMS = ["cpu_pct", "rss_bytes", "calls_s", "errors_s", "working_pct", "waiting_pct"];
const base = (word) => word.slice(word.lastIndexOf("/") + 1);

export const NAMES = {
  program: (row) => base(spoken(row)[0]).replace(/:$/, "") || row.comm,  // "nginx: worker process" is an nginx
  job: (row) => row.job ?? "(no job)",
};

/** [{row}] of groups: figures are sums, `members_` the rows below. */
export function grouped(rows, by) {
  const found = new Map();
  for (const row of rows) {
    const title = NAMES[by](row);
    if (!found.has(title)) found.set(title, []);
    found.get(title).push(row);
  }
  return [...found].map(([title, members]) => {
    const partial = new Set();
    const figures = Object.fromEntries(SUMS.map((field) => {
      const values = members.map((row) => row[field]).filter(known);
      if (values.length && values.length < members.length) partial.add(field);
      return [field, values.length ? values.reduce((sum, value) => sum + value, 0) : null];
    }));
    return { ...figures, group_: title, partial_: partial, members_: members, count_: members.filter((row) => !row.brief_).length, waits_longer: members.some((row) => row.waits_longer),
      pid: Math.min(...members.map((row) => row.pid)), comm: title, cmdline: title };
  });
}

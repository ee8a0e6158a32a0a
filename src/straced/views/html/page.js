// The page itself: header, findings, and the parts in their order.
document.title = "straced report: " + data.title;
$("#title").textContent = data.command || data.title;
$("#head").textContent = data.head;
$("#quality").textContent = data.quality;
$("#reasons").append(...data.reasons.map((reason) => make("li", reason)));
const when = known(data.epoch) ? new Date(data.epoch * 1000).toLocaleString("sv", { timeZoneName: "short" }) : "- (the trace has no dates)";
for (const [what, value] of [["date", when], ["host", data.host || "- (the trace does not say)"], ["command", data.command || "-"], ["trace", `${data.title} · ${data.lines}`], ["duration", time(data.duration_ns)]]) {
  const fact = make("div");
  fact.append(make("dt", what), make("dd", value));
  $("#facts").append(fact);
}

/** A share of the wall time; of tasks that waited side by side it is more than all of it. */
const part = (share) => share <= 100 ? `${percent(share)} of ${time(data.duration_ns)}` : `${(share / 100).toFixed(1)} × ${time(data.duration_ns)} in parallel`;

/** Where the time went, by class: what one sees first. */
function shares() {
  const field = data.timed ? "wall_ns" : "calls", sums = new Map(CLASSES.map((name) => [name, 0]));
  for (const row of data.summary) sums.set(row.class, (sums.get(row.class) || 0) + (row[field] || 0));
  const all = [...sums.values()].reduce((sum, each) => sum + each, 0);
  if (!all) return;
  const found = [...sums].filter(([, value]) => value).sort((a, b) => b[1] - a[1]);
  const bar = make("div", null, "bar"), words = legend(found.map(([name]) => name));
  bar.setAttribute("aria-hidden", "true");  // the words beside it say the same
  for (const [at, [name, value]] of found.entries()) {
    const piece = make("i", null, name);
    piece.style.width = `${100 * value / all}%`;
    bar.append(piece);
    words.children[at].append(` ${percent(100 * value / all)}`);
  }
  words.prepend(make("b", data.timed ? `${time(all)} in calls, all tasks together: ` : `${count(all)} calls: `));
  $("#shares").append(bar, words);
}
shares();

function finding(each, at) {
  const card = make("article", null, "finding"), words = make("div");
  const cost = make("p", null, "cost");
  cost.append(make("b", known(each.cost_ns) ? time(each.cost_ns) : "-"), make("small", known(each.share) ? part(each.share) : ""));
  if (known(each.waiting_ns)) cost.append(make("small", `${time(each.waiting_ns)} waiting`));
  words.append(make("p", each.text, "what"), make("p", each.advice, "weak"));
  if (each.shown.length) {
    const more = make("details"), lines = make("pre");
    more.open = at === 0;
    more.append(make("summary", (each.lines.length > 1 ? "lines " : "line ") + each.lines.map(count).join(", ")), lines);
    let before = null;
    for (const [number, text] of each.shown) {
      if (before !== null && number > before + 1) lines.append("⋮\n");
      before = number;
      lines.append(make(each.lines.includes(number) ? "mark" : "span", `${String(number).padStart(7)}  ${text}`), "\n");
    }
    lines.tabIndex = 0;
    words.append(more);
  } else if (each.lines.length) words.append(make("small", (each.lines.length > 1 ? "lines " : "line ") + each.lines.map(count).join(", ")));
  card.append(cost, words);
  return card;
}
const found = $("#findings .body");
found.append(...data.findings.map(finding));
if (!data.findings.length) found.append(make("p", "Nothing stands out.", "weak"));
addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });

const errnos = (map) => Object.entries(map || {}).sort((a, b) => b[1] - a[1]).map(([name, value]) => `${name} ${count(value)}`).join("  ");
/** A column of what only records tell. */
const waits = (key, title) => data.waits ? [{ key, title, show: time }] : [];
function rest() {
  const toCall = timeline();
  flame();
  table($("#calls"), data.summary, [
    { key: "name", title: "syscall", text: true }, { key: "class", title: "class", text: true },
    { key: "calls", title: "calls", show: count }, { key: "errors", title: "errors", show: count, bad: true },
    { key: "wall_ns", title: "total", show: time }, ...waits("working_ns", "working"), ...waits("waiting_ns", "waiting"), { key: "p50_ns", title: "p50", show: time },
    { key: "p99_ns", title: "p99", show: time }, { key: "max_ns", title: "max", show: time },
    { key: "errno", title: "errno", text: true, value: (row) => errnos(row.errno) },
  ], data.timed ? "wall_ns" : "calls");
  table($("#files"), data.files.map(([path, calls, errors, read, written, ns, line, waiting_ns]) => ({ path: data.names[path], calls, errors, read, written, ns, line, waiting_ns })), [
    { key: "path", title: "path", text: true, mono: true }, { key: "calls", title: "calls", show: count },
    { key: "errors", title: "errors", show: count, bad: true }, { key: "read", title: "read", show: bytes },
    { key: "written", title: "written", show: bytes }, { key: "ns", title: "time", show: time }, ...waits("waiting_ns", "waiting"),
    { key: "line", title: "first line", show: count },
  ], data.timed ? "ns" : "calls", data.files_hidden);
  const jump = (cell, row) => { if (data.lanes?.calls.some((each) => each[4] === row.line)) cell.replaceChildren(button(count(row.line), () => toCall(row.line))); };
  table($("#slowest"), data.slowest, [
    { key: "duration_ns", title: "time", show: time }, ...waits("waiting_ns", "waiting"), { key: "line", title: "line", show: count, click: jump },
    { key: "pid", title: "task" }, { key: "text", title: "call", text: true, mono: true },
  ], "duration_ns");
  table($("#processes"), data.processes, [
    { key: "pid", title: "pid" }, { key: "parent", title: "parent", show: (value) => value ?? "-" },
    { key: "name", title: "command", text: true, line: true, show: (value, row) => `${value || "?"}${row.argv ? " " + row.argv : ""}` },
    { key: "calls", title: "calls", show: count }, { key: "errors", title: "errors", show: count, bad: true },
    { key: "wall_ns", title: "in calls", show: time }, data.waits ? waits("waiting_ns", "waiting")[0] : { key: "waiting_calls_ns", title: "in waits", show: time },
    { key: "start_s", title: "from", show: seconds }, { key: "end_s", title: "to", show: seconds },
    { key: "fate", title: "end", text: true, value: (row) => row.killed || (known(row.exit_status) ? "exit " + row.exit_status : "-") },
  ], "calls", data.processes_hidden);
  document.documentElement.dataset.ready = "yes";
}
setTimeout(rest);  // what stands above is painted meanwhile

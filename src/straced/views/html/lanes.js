// The time line: a lane a task, coloured by the class of its calls; the longest calls stand in it as themselves.
const LANE = 15, AXIS = 22;
/** The next round number: 1, 2 or 5 times a power of ten. */
const round = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].find((each) => each * power >= value) * power;
};
/** A moment, in the unit of the step from one to the next and no more digits than that needs. */
const tick = (ns, step) => {
  const [unit, size] = step >= 1e8 ? ["s", 1e9] : step >= 1e5 ? ["ms", 1e6] : ["us", 1e3];
  return `${(ns / size).toLocaleString("en-US", { maximumFractionDigits: Math.max(0, -Math.floor(Math.log10(step / size))) })} ${unit}`;
};
function timeline() {
  const body = $("#timeline .body"), line = data.lanes;
  if (!line) { body.append(make("p", "The trace has no times of day (-ttt), so there is no time line.", "weak")); return () => {}; }
  const total = line.steps * line.step_ns, end = Math.min(total, data.duration_ns || total);
  const wide = () => Math.max(240, box.clientWidth), left = () => Math.min(170, wide() * 0.28);
  const height = line.rows.length * LANE, byTid = new Map(line.rows.map((row, at) => [row[1], at]));
  const byLane = line.rows.map(() => []);
  for (const call of line.calls) byLane[byTid.get(call[0])]?.push(call);
  let from = 0, to = end, marked = null;
  const box = make("div", null, "lanes"), canvas = make("canvas"), svg = draw("svg", { role: "img", "aria-label": "tasks over time" });
  const times = draw("svg", { height: AXIS, "aria-hidden": "true" }, "times");  // in sight while the lanes scroll
  const out = button("show all", () => zoom(0, end));
  const words = make("p", null, "weak");
  out.hidden = true;
  box.append(canvas, svg, times);
  body.append(legend(line.classes.map(([, name]) => name)), box, out, words);
  words.textContent = `Colour: the class that took most of each step of ${time(line.step_ns)}; how strong it is: ${line.by}. ${line.of_calls === null ? "" : `${countOf(line.of_calls, "call")}${line.calls.length ? `; the ${count(line.calls.length)} longest stand as themselves when zoomed in` : ""}. `}${line.hidden ? `${countOf(line.hidden, "task with fewer calls has", "tasks with fewer calls have")} no lane.` : ""}`;
  const letters = Object.fromEntries(line.classes);
  const x = (ns) => left() + (wide() - left()) * (ns - from) / (to - from);
  const at = (event) => from + Math.max(0, Math.min(1, (event.clientX - svg.getBoundingClientRect().left - left()) / (wide() - left()))) * (to - from);
  const paint = () => {
    const ratio = Math.min(2, devicePixelRatio || 1), width = wide();
    canvas.width = width * ratio; canvas.height = height * ratio;
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
    svg.setAttribute("width", width); svg.setAttribute("height", height);
    const pen = canvas.getContext("2d"), style = getComputedStyle(box), colour = {};
    for (const letter in letters) colour[letter] = style.getPropertyValue("--" + letters[letter]).trim();
    pen.scale(ratio, ratio);
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "right";
    const room = Math.floor((left() - 10) / 6);
    line.rows.forEach(([label, , , cells], row) => {
      const top = row * LANE;
      pen.globalAlpha = 1;
      pen.fillStyle = style.color;
      pen.fillText(label.length > room ? "…" + label.slice(1 - room) : label, left() - 6, top + 11);
      const first = Math.max(0, Math.floor(from / line.step_ns)), last = Math.min(line.steps, Math.ceil(to / line.step_ns));
      for (let step = first; step < last; step++) {
        const letter = cells[2 * step];
        if (letter === ".") continue;
        const a = Math.max(left(), x(step * line.step_ns)), b = Math.min(width, x((step + 1) * line.step_ns));
        pen.globalAlpha = 0.3 + 0.7 * (cells.charCodeAt(2 * step + 1) - 48) / 9;
        pen.fillStyle = colour[letter];
        pen.fillRect(a, top + 1, Math.max(0.8, b - a), LANE - 3);
      }
      pen.globalAlpha = 1;
      for (const call of byLane[row]) {
        const a = x(call[2] * 1e3), b = x((call[2] + call[3]) * 1e3);
        if (b < left() || a > width || (b - a < 3 && call !== marked)) continue;
        pen.fillStyle = colour[(classOf[data.names[call[1]]] || "other")[0]];
        pen.fillRect(Math.max(left(), a), top + 1, Math.max(2, Math.min(width, b) - Math.max(left(), a) - 0.5), LANE - 3);
        if (call === marked) { pen.strokeStyle = style.color; pen.lineWidth = 2; pen.strokeRect(Math.max(left(), a), top + 1, Math.max(2, Math.min(width, b) - Math.max(left(), a)), LANE - 3); }
        if (b - a > 50) { pen.fillStyle = style.getPropertyValue("--on").trim(); pen.textAlign = "left"; pen.fillText(data.names[call[1]].slice(0, Math.floor((b - a - 6) / 6.4)), Math.max(left(), a) + 3, top + 11); pen.textAlign = "right"; }
      }
    });
    const nodes = [], grid = [], step = round((to - from) / (width > 600 ? 6 : 2));
    times.setAttribute("width", width);
    for (let now = Math.ceil(from / step) * step; now <= to; now += step) {
      const place = x(now), anchor = place < left() + 20 ? "start" : place > width - 30 ? "end" : "middle";
      const mark = draw("text", { x: place, y: AXIS - 7, "text-anchor": anchor }, "axis");
      mark.textContent = tick(now, step);
      nodes.push(mark);
      grid.push(draw("path", { d: `M${place} 0V${height}` }, "grid"));
    }
    times.replaceChildren(...nodes);
    svg.replaceChildren(...grid);
    svg.dataset.from = from / line.step_ns;
    svg.dataset.to = to / line.step_ns;
    out.hidden = from === 0 && to === end;
  };
  const zoom = (a, b) => { from = Math.max(0, a); to = Math.min(end, Math.max(b, from + 1000)); paint(); };
  const under = (event) => {
    const row = Math.floor((event.clientY - svg.getBoundingClientRect().top) / LANE), now = at(event);
    if (!line.rows[row] || event.clientX - svg.getBoundingClientRect().left < left()) return null;
    const slack = 3 * (to - from) / wide();
    const call = byLane[row].filter((each) => each[2] * 1e3 - slack <= now && (each[2] + each[3]) * 1e3 + slack >= now).sort((p, q) => p[3] - q[3])[0];
    return { row, now, call: call && x((call[2] + call[3]) * 1e3) - x(call[2] * 1e3) >= 3 ? call : null };
  };
  let start = null, shade = null;
  svg.addEventListener("pointerdown", (event) => {
    start = at(event);
    svg.setPointerCapture(event.pointerId);
    shade = draw("rect", { x: 0, y: 0, width: 0, height }, "zoom");
    svg.append(shade);
  });
  svg.addEventListener("pointermove", (event) => {
    if (start !== null) {
      const [a, b] = [start, at(event)].sort((p, q) => p - q);
      shade.setAttribute("x", x(a));
      shade.setAttribute("width", x(b) - x(a));
      return;
    }
    const found = under(event);
    if (!found) return say(event, "");
    const [label, , calls, cells, inCalls, waiting] = line.rows[found.row], step = Math.floor(found.now / line.step_ns), letter = cells[2 * step];
    const what = found.call ? `${data.names[found.call[1]]} ${time(found.call[3] * 1e3)}${known(found.call[5]) ? ` (${time(found.call[5])} waiting)` : ""}, line ${count(found.call[4])}` : letter === "." || !letter ? "no call ended or went on here" : letters[letter];
    say(event, `${label} · ${countOf(calls, line.of_calls === null ? "line" : "call")}${known(waiting) ? ` · ${time(inCalls)} in calls, ${time(waiting)} waiting` : ""}\n${seconds(found.now / 1e9)}\n${what}`);
  });
  svg.addEventListener("pointerleave", (event) => say(event, ""));
  svg.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [a, b] = [start, at(event)].sort((p, q) => p - q);
    start = null;
    if (b - a > (to - from) / 100) return zoom(a, b);
    const found = under(event);
    if (found?.call) show(found.call);
    else paint();
  });
  svg.addEventListener("dblclick", () => zoom(0, end));
  const show = (call) => {
    marked = call;
    const margin = Math.max(call[3] * 50, 2000);
    zoom(call[2] * 1e3 - margin, (call[2] + call[3]) * 1e3 + margin);
  };
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "time line: + and - zoom, left and right move, 0 shows all");
  box.addEventListener("keydown", (event) => {
    const span = to - from, middle = (from + to) / 2, step = Math.min(span / 4, Math.max(0, event.key === "ArrowLeft" ? from : end - to));
    const done = { "+": () => zoom(middle - span / 4, middle + span / 4), "-": () => zoom(middle - span, middle + span), 0: () => zoom(0, end),
      ArrowLeft: () => zoom(from - step, to - step), ArrowRight: () => zoom(from + step, to + step) }[event.key];
    if (!done || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    done();
  });
  new ResizeObserver(paint).observe(box);  // a scroll bar takes room, too
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
  /** Zoom to the call of a line; whether there is one. */
  return (number) => {
    const call = line.calls.find((each) => each[4] === number && byTid.has(each[0]));
    if (!call) return false;
    show(call);
    $("#timeline").scrollIntoView();
    return true;
  };
}

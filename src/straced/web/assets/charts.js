// Pictures: lines over time with marks, a sparkline, a histogram. SVG, sized to the room there is.

import { el, svg, tip } from "./dom.js";
import { clock, count, known, moment, time } from "./words.js";

const LEFT = 46;
const RIGHT = 8;
const BOTTOM = 18;
const TOP = 6;

/** The points of a sparkline, the highest at the top. */
export function spark(values, width, height) {
  const highest = Math.max(...values, 0);
  if (!values.length) return "";
  const step = width / Math.max(1, 59);
  const first = width - step * (values.length - 1);
  return values
    .map((value, at) => `${(first + at * step).toFixed(1)},${(height - 1 - (highest ? (value / highest) * (height - 2) : 0)).toFixed(1)}`)
    .join(" ");
}

function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= value) * power;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];

function timeTicks(since, until, most) {
  const step = STEPS.find((each) => (until - since) / each <= most) || 604800;
  const zone = new Date(since * 1000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let at = Math.ceil((since - zone) / step) * step + zone; at < until; at += step) ticks.push(at);
  return { step, ticks };
}

const dated = (at, step) => {
  if (step < 60) return clock(at);
  if (step < 43200) return clock(at, false);
  const day = new Date(at * 1000);
  return `${day.getMonth() + 1}/${day.getDate()}`;
};

/**
 * Lines over time. A hole in time is a hole in the line.
 * series: [{name, color, values: [[time, value]], area}], marks: [{time, until, text, severe}].
 */
export class Chart {
  constructor(title, { format, most = null, height = 120, picked = null }) {
    Object.assign(this, { format, most, height, picked });
    this.key = el("span", { class: "key" });
    this.box = el("div", { class: "plot" });
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("b", {}, title), this.key), this.box);
    this.data = null;
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener("pointermove", (event) => this.hover(event));
    this.box.addEventListener("pointerleave", () => this.leave());
    if (picked) {
      this.box.classList.add("pick");
      this.box.addEventListener("click", (event) => picked(this.timeAt(event)));
    }
  }

  /** What is drawn already is not drawn again within a second. */
  show(data) {
    const same = this.data && data.until - this.data.until < 1 && data.until >= this.data.until && data.until - data.since - (this.data.until - this.data.since) < 1;
    if (same && performance.now() - this.drawn < 900 && data.series.length === this.data.series.length) return;
    this.data = data;
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth;
    if (!this.data || width < 60) return;
    this.drawn = performance.now();
    const { series, since, until, marks = [] } = this.data;
    const { height } = this;
    const values = series.flatMap((each) => each.values.map(([, value]) => value)).filter(known);
    const top = Math.max(nice(Math.max(...values, 0)), this.most && values.length && Math.max(...values) > this.most / 2 ? this.most : 0);
    const x = (at) => LEFT + ((Math.min(at, until) - since) / (until - since)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - value / top) * (height - TOP - BOTTOM);
    this.scale = { x, y, since, until, width };
    const { step, ticks } = timeTicks(since, until, Math.max(2, Math.floor(width / 90)));
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    for (const part of [0, 0.5, 1]) {
      picture.append(
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(part * top), y2: y(part * top) }),
        svg("text", { class: "axis", x: LEFT - 5, y: y(part * top) + 4, "text-anchor": "end" }, this.format(part * top)),
      );
    }
    for (const at of ticks) {
      const anchor = x(at) > width - 28 ? "end" : "middle";
      picture.append(svg("text", { class: "axis", x: Math.min(x(at), width - 2), y: height - 4, "text-anchor": anchor }, dated(at, step)));
    }
    for (const mark of marks) picture.append(...this.mark(mark, x, height));
    for (const each of series) picture.append(...lines(each, x, y, height - BOTTOM));
    this.cross = svg("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    picture.append(this.cross);
    if (!values.length) picture.append(svg("text", { class: "axis", x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing is known of this time"));
    this.box.replaceChildren(picture);
    this.key.replaceChildren(...series.map((each) => el("span", { class: each.color }, each.name)));
  }

  mark({ time: at, until = null, severe }, x, height) {
    const { since } = this.data;
    const kind = severe ? "mark severe" : "mark";
    const found = [];
    if (until !== null) {
      const left = x(Math.max(at, since));
      found.push(svg("rect", { class: "span", x: left, y: TOP, width: Math.max(1, x(until) - left), height: height - TOP - BOTTOM }));
    }
    if (at >= since) found.push(svg("line", { class: kind, x1: x(at), x2: x(at), y1: TOP, y2: height - BOTTOM }));
    return found;
  }

  timeAt(event) {
    const { since, until, width } = this.scale;
    const part = (event.clientX - this.box.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT);
    return since + Math.min(1, Math.max(0, part)) * (until - since);
  }

  hover(event) {
    if (!this.scale || !this.data) return;
    const at = this.timeAt(event);
    const texts = [];
    let nearest = null;
    for (const each of this.data.series) {
      const found = closest(each.values, at);
      if (found && known(found[1])) {
        texts.push(`${each.name} ${this.format(found[1])}`);
        if (nearest === null || Math.abs(found[0] - at) < Math.abs(nearest - at)) nearest = found[0];
      }
    }
    const room = ((this.data.until - this.data.since) / this.scale.width) * 5;
    const near = (this.data.marks || []).filter((mark) => Math.abs(mark.time - at) < room).slice(0, 4);
    if (!texts.length && !near.length) {
      this.leave();
      return;
    }
    const shown = nearest === null ? at : nearest;
    this.cross.setAttribute("x1", this.scale.x(shown));
    this.cross.setAttribute("x2", this.scale.x(shown));
    this.cross.setAttribute("visibility", "visible");
    tip(event, [moment(shown), ...texts, ...near.map((mark) => mark.text)].join("\n"));
  }

  leave() {
    this.cross?.setAttribute("visibility", "hidden");
    tip(null);
  }
}

function closest(values, at) {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle][0] < at) low = middle + 1;
    else high = middle;
  }
  const pair = [values[low - 1], values[low]].filter(Boolean);
  return pair.sort((a, b) => Math.abs(a[0] - at) - Math.abs(b[0] - at))[0];
}

function lines({ values, color, area }, x, y, floor) {
  const steps = values.slice(1).map(([at], index) => at - values[index][0]).sort((a, b) => a - b);
  const hole = 3 * (steps[steps.length >> 1] || 1);
  const runs = [];
  let before = null;
  for (const [at, value] of values) {
    if (!known(value)) {
      before = null;
      continue;
    }
    if (before === null || at - before > hole) runs.push([]);
    runs.at(-1).push([x(at), y(value)]);
    before = at;
  }
  return runs.flatMap((run) => {
    const points = run.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ");
    if (run.length === 1) return [svg("circle", { class: `dot ${color}`, cx: run[0][0], cy: run[0][1], r: 1.8 })];
    const line = svg("polyline", { class: `line ${color}`, points });
    if (!area) return [line];
    return [svg("polygon", { class: `area ${color}`, points: `${run[0][0]},${floor} ${points} ${run.at(-1)[0]},${floor}` }), line];
  });
}

/** Calls by duration: one bar a bucket (four an octave), on a logarithmic axis; bars: [[lower, upper, calls]]. */
export function histogram(bars, width, height, labelled) {
  const picture = svg("svg", { class: "histogram", width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  if (!bars?.length) return picture;
  const low = Math.log2(Math.max(1, bars[0][0]));
  const high = Math.max(Math.log2(bars.at(-1)[1]), low + (labelled ? 4 : 6));
  const floor = labelled ? height - 18 : height;
  const highest = Math.max(...bars.map((bar) => bar[2]));
  const x = (ns) => ((Math.log2(Math.max(1, ns)) - low) / (high - low)) * width;
  for (const [lower, upper, calls] of bars) {
    const tall = Math.max(1.5, (calls / highest) * (floor - 4));
    const bar = svg("rect", { x: x(lower), y: floor - tall, width: Math.max(1, x(upper) - x(lower) - (labelled ? 1 : 0.4)), height: tall });
    if (labelled) {
      const words = `${count(calls)} calls took ${time(lower)} to ${time(upper)}`;
      bar.addEventListener("pointermove", (event) => tip(event, words));
      bar.addEventListener("pointerleave", () => tip(null));
    }
    picture.append(bar);
  }
  if (!labelled) return picture;
  const each = Math.ceil((high - low) / Math.max(2, Math.floor(width / 70)));
  for (let octave = Math.ceil(low); octave < high - 0.3; octave += each) {
    const at = ((octave - low) / (high - low)) * width;
    picture.append(svg("text", { class: "axis", x: at, y: height - 4, "text-anchor": at < 20 ? "start" : "middle" }, time(2 ** octave)));
  }
  return picture;
}

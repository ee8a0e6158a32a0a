// Charts: lines, areas or a heat map over time, with marks. SVG, sized to the room there is.

import { Dragging } from "./dragging.js";
import { el, svg, tip } from "./dom.js";
import { heat, octaves, scale } from "./histogram.js";
import { closest, lines, stacked } from "./lines.js";
import { clock, known, moment, time } from "./words.js";

const LEFT = 46;
const RIGHT = 8;
const BOTTOM = 18;
const TOP = 6;

function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) * power;
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

/** When something lasted: spans that overlap are one, so that many alerts leave the lines below them to be read. */
function union(marks, since) {
  const spans = marks.filter((mark) => known(mark.until) && mark.until > since).map((mark) => [Math.max(mark.time, since), mark.until]).sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const [from, to] of spans) {
    if (found.length && from <= found.at(-1)[1]) found.at(-1)[1] = Math.max(found.at(-1)[1], to);
    else found.push([from, to]);
  }
  return found;
}

/**
 * Lines over time. A hole in time is a hole in the line.
 * series: [{name, color, values: [[time, value]], area, again}], `again`: it is an earlier part of the series of that name,
 * at other steps; marks: [{time, until, text, severe, kind}].
 * With `stack` the series stand on top of each other; `shade` is a span that is looked at; with `log` the values are
 * nanoseconds on a logarithmic axis, behind which `cells` ({points, step}) make a heat map; `dots` ({time, value, text})
 * are single calls.
 */
export class Chart {
  constructor(title, { format, axis = format, most = null, height = 120, picked = null, dragged = null, stack = false, log = false }) {
    Object.assign(this, { format, axis, most, height, stack, log, title });
    this.key = el("span", { class: "key" });
    this.box = el("div", { class: "plot" });
    this.box.style.height = `${height}px`;
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("b", {}, title), this.key), this.box);
    this.data = null;
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener("pointermove", (event) => this.hover(event));
    this.box.addEventListener("pointerleave", () => this.leave());
    if (picked || dragged) new Dragging(this.box, { at: (event) => this.timeAt(event), x: (at) => this.scale.x(at), picked, dragged });
  }

  /** What is drawn already is not drawn again within a second. */
  show(data) {
    const same = this.data && data.until - this.data.until < 1 && data.until >= this.data.until && data.until - data.since - (this.data.until - this.data.since) < 1;
    const alike = same && data.series.length === this.data.series.length && data.shade?.[0] === this.data.shade?.[0] && data.cells === this.data.cells;
    if (alike && performance.now() - this.drawn < 900) return;
    this.data = this.stack ? { ...data, series: stacked(data.series) } : data;
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth;
    if (!this.data || width < 60) return;
    this.drawn = performance.now();
    const { series, since, until, marks = [], shade, cells, dots = [] } = this.data;
    const { height } = this;
    const x = (at) => LEFT + ((Math.min(Math.max(at, since), until) - since) / (until - since)) * (width - LEFT - RIGHT);
    const values = series.flatMap((each) => each.values.map(([, value, , ceiling]) => ceiling ?? value)).filter(known);
    const axis = this.log ? this.octaves(series, cells, dots) : this.linear(values);
    const { y, labels } = axis;
    this.scale = { x, y, since, until, width };
    const { step, ticks } = timeTicks(since, until, Math.max(2, Math.floor(width / 90)));
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": this.title });
    for (const [at, words] of labels) {
      picture.append(
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(at), y2: y(at) }),
        svg("text", { class: "axis", x: LEFT - 5, y: y(at) + 4, "text-anchor": "end" }, words),
      );
    }
    for (const at of ticks) {
      const anchor = x(at) > width - 28 ? "end" : "middle";
      picture.append(svg("text", { class: "axis", x: Math.min(x(at), width - 2), y: height - 4, "text-anchor": anchor }, dated(at, step)));
    }
    if (shade && shade[1] > since && shade[0] < until) picture.append(svg("rect", { class: "minute", x: x(shade[0]), y: TOP, width: Math.max(2, x(shade[1]) - x(shade[0])), height: height - TOP - BOTTOM }));
    if (cells) picture.append(...heat(cells.points, cells.step, { x, since, until, top: TOP, bottom: height - BOTTOM, low: axis.low, high: axis.high }));
    for (const [from, to] of union(marks, since)) picture.append(svg("rect", { class: "span", x: x(from), y: TOP - 5, width: Math.max(1, x(to) - x(from)), height: 4 }));
    for (const mark of marks) picture.append(...this.mark(mark, x, height));
    for (const each of series) picture.append(...lines({ ...each, values: each.values.filter(([at]) => at >= since && at <= until) }, x, y));
    for (const dot of dots) picture.append(svg("circle", { class: "slow-dot", cx: x(dot.time), cy: y(dot.value), r: 3.5 }));
    this.cross = svg("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    picture.append(this.cross);
    if (!values.length) picture.append(svg("text", { class: "axis", x: width / 2, y: height / 2, "text-anchor": "middle" }, this.data.none || "nothing is known of this time"));
    this.box.querySelector("svg")?.remove();
    this.box.prepend(picture);
    this.legend(series, marks.filter((mark) => (mark.until ?? mark.time) >= since && mark.time <= until), cells, dots);
  }

  linear(values) {
    const top = Math.max(nice(Math.max(...values, 0)), this.most && values.length && Math.max(...values) > this.most / 2 ? this.most : 0);
    return { y: (value) => TOP + (1 - value / top) * (this.height - TOP - BOTTOM), labels: [0, 0.5, 1].map((part) => [part * top, this.axis(part * top)]) };
  }

  octaves(series, cells, dots) {
    const seen = [...dots.map((dot) => Math.floor(Math.log2(dot.value))), ...(cells?.points || []).flatMap((point) => octaves(point.bars).map(([octave]) => octave)),
      ...series.flatMap((each) => each.values.map(([, value]) => (value > 0 ? Math.floor(Math.log2(value)) : null)).filter(known))];
    const low = seen.length ? Math.min(...seen) : 6;
    const high = Math.max(low + 3, (seen.length ? Math.max(...seen) : 6) + 1);
    const y = (ns) => TOP + (1 - (Math.log2(Math.max(1, ns)) - low) / (high - low)) * (this.height - TOP - BOTTOM);
    return { y, low, high, labels: [low, Math.round((low + high) / 2), high].map((octave) => [2 ** octave, time(2 ** octave)]) };
  }

  legend(series, marks, cells, dots) {
    const found = series.filter((each) => each.name && !each.again).map((each) => el("span", { class: each.color }, each.name));
    if (cells) found.push(scale());
    if (dots.length) found.push(el("span", { class: "k-slow" }, "slow call"));
    if (marks.some((mark) => mark.severe)) found.push(el("span", { class: "k-alert" }, "alert"));
    if (marks.some((mark) => !mark.severe)) found.push(el("span", { class: "k-event" }, "event"));
    const words = found.map((each) => each.textContent).join();
    if (this.key.dataset.words === words) return;
    this.key.dataset.words = words;
    this.key.replaceChildren(...found);
  }

  mark({ time: at, severe }, x, height) {
    const { since } = this.data;
    const kind = severe ? "mark severe" : "mark";
    const found = [];
    if (at >= since && at <= this.data.until) {
      found.push(svg("line", { class: kind, x1: x(at), x2: x(at), y1: TOP, y2: height - BOTTOM }));
      if (severe) found.push(svg("path", { class: "flag", d: `M${x(at)} ${TOP}l7 3.5l-7 3.5z` }));
    }
    return found;
  }

  timeAt(event) {
    const { since, until, width } = this.scale;
    const part = (event.clientX - this.box.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT);
    return since + Math.min(1, Math.max(0, part)) * (until - since);
  }

  hover(event) {
    if (!this.scale || !this.data || event.target.classList.contains("heat")) return;
    const at = this.timeAt(event);
    const texts = [];
    let nearest = null;
    for (const each of this.data.series.filter(({ name, again }) => name && !again)) {
      const found = closest(this.data.series.filter(({ name }) => name === each.name).flatMap(({ values }) => values), at);
      if (found && known(found[1])) {
        texts.push(`${each.name} ${this.format(found[1])}`);
        if (nearest === null || Math.abs(found[0] - at) < Math.abs(nearest - at)) nearest = found[0];
      }
    }
    const room = ((this.data.until - this.data.since) / this.scale.width) * 5;
    const near = [...(this.data.dots || []), ...(this.data.marks || [])].filter((mark) => Math.abs(mark.time - at) < room || (mark.time <= at && mark.until >= at)).slice(0, 4);
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

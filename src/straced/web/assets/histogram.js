// Calls by duration: as bars, and as a heat map over time.

import { el, svg, tip } from "./dom.js";
import { countOf, moment, time } from "./words.js";

/** Calls by duration: one bar a bucket (four an octave), on a logarithmic axis; bars: [[lower, upper, calls]]. */
export function histogram(bars, width, height, labelled) {
  const picture = svg("svg", { class: "histogram", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "calls by duration" });
  if (!bars?.length) return picture;
  const [first, last] = [Math.log2(Math.max(1, bars[0][0])), Math.log2(bars.at(-1)[1])];
  const room = Math.max(0, (labelled ? 4 : 6) - (last - first));  // a few bars keep their width
  const [low, high] = labelled ? [Math.max(0, first - room / 2), last + room / 2] : [first, last + room];
  const floor = labelled ? height - 18 : height;
  const highest = Math.max(...bars.map((bar) => bar[2]));
  const x = (ns) => ((Math.log2(Math.max(1, ns)) - low) / (high - low)) * width;
  for (const [lower, upper, calls] of bars) {
    const tall = Math.max(1.5, (calls / highest) * (floor - 4));
    const bar = svg("rect", { x: x(lower), y: floor - tall, width: Math.max(1, x(upper) - x(lower) - (labelled ? 1 : 0.4)), height: tall });
    if (labelled) {
      const words = `${countOf(calls, "call")} took ${time(lower)} to ${time(upper)}`;
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

/** Durations over time: a column a step, a row an octave, the darker the more calls; in the axes of a chart. */
export function heat(points, step, { x, since, until, top, bottom, low, high }) {
  const most = Math.max(1, ...points.flatMap((point) => octaves(point.bars).map(([, calls]) => calls)));
  const tall = (bottom - top) / (high - low);
  const cells = [];
  for (const point of points) {
    const [from, to] = [Math.max(point.time, since), Math.min(point.time + step, until)];
    if (to <= from) continue;
    for (const [octave, calls] of octaves(point.bars)) {
      const cell = svg("rect", { class: "heat", x: x(from), y: bottom - (octave - low + 1) * tall, width: Math.max(1, x(to) - x(from) - 0.5), height: Math.max(1, tall - 0.5), opacity: (0.12 + 0.88 * (Math.log1p(calls) / Math.log1p(most))).toFixed(2) });
      const words = `${moment(point.time)}\n${countOf(calls, "call")} took ${time(2 ** octave)} to ${time(2 ** (octave + 1))}`;
      cell.addEventListener("pointermove", (event) => { event.stopPropagation(); tip(event, words); });
      cells.push(cell);
    }
  }
  return cells;
}

/** [[octave, calls]]: four buckets together. */
export function octaves(bars) {
  const found = new Map();
  for (const [lower, , calls] of bars) {
    const octave = Math.floor(Math.log2(Math.max(1, lower)));
    found.set(octave, (found.get(octave) || 0) + calls);
  }
  return [...found];
}

export const scale = () => el("span", { class: "k-heat" }, "calls: few", el("i"), "many");

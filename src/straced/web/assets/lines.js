// Lines and areas of charts, as SVG. A hole in time is a hole in the line.

import { svg } from "./dom.js";
import { known } from "./words.js";

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

/** The value nearest to a moment: [time, value]. */
export function closest(values, at) {
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

/** Values on top of each other: each of a series becomes [time, value, floor, ceiling]; unknown where one below is. */
export function stacked(series) {
  const floors = new Map();
  return series.map((each) => ({
    ...each,
    values: each.values.map(([at, value]) => {
      const floor = floors.has(at) ? floors.get(at) : 0;
      const ceiling = known(value) && known(floor) ? floor + value : null;
      floors.set(at, ceiling);
      return [at, value, floor, ceiling];
    }),
  }));
}

/** The runs of known values: [[time, low, high]]. */
function runs(values) {
  const steps = values.slice(1).map(([at], index) => at - values[index][0]).sort((a, b) => a - b);
  const hole = 3 * (steps[steps.length >> 1] || 1);
  const found = [];
  let before = null;
  for (const [at, value, floor = null, ceiling = value] of values) {
    if (!known(ceiling)) {
      before = null;
      continue;
    }
    if (before === null || at - before > hole) found.push([]);
    found.at(-1).push([at, floor, ceiling]);
    before = at;
  }
  return found;
}

/** One series: its line, and what lies below it where it is an area (down to its floor, where it has one). */
export function lines({ values, color, area = false, band = false }, x, y) {
  return runs(values).flatMap((run) => {
    const points = run.map(([at, , high]) => `${x(at).toFixed(1)},${y(high).toFixed(1)}`);
    if (run.length === 1) return [svg("circle", { class: `dot ${color}`, cx: x(run[0][0]), cy: y(run[0][2]), r: 1.8 })];
    const line = svg("polyline", { class: `line ${color}`, points: points.join(" ") });
    if (!area && !band) return [line];
    const floor = [...run].reverse().map(([at, low]) => `${x(at).toFixed(1)},${y(low ?? 0).toFixed(1)}`);
    return [svg("polygon", { class: `area ${color}${run[0][1] === null ? "" : " full"}`, points: [...points, ...floor].join(" ") }), ...(band ? [] : [line])];
  });
}

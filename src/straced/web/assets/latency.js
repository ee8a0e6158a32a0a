// How long a call took over time: the middle, the band up to the 99th percentile, and all of them as a heat map.

import { Chart } from "./charts.js";
import { say, el } from "./dom.js";
import { ask } from "./line.js";
import { words } from "./slow.js";
import { countOf, known, time } from "./words.js";

const AGAIN_MS = 15000;

export class Latency {
  /** options: those of a chart that is picked from and dragged over. */
  constructor(key, options) {
    [this.pid, this.start] = key.split("-");
    this.chart = new Chart("Latency", { format: time, height: 150, log: true, ...options });
    this.title = el("span", { class: "mono" });
    this.chart.node.querySelector("figcaption b").append(" of ", this.title);
    this.note = el("small");
    this.chart.node.append(this.note);
    this.node = this.chart.node;
    this.node.hidden = true;
    this.asked = 0;
    this.call = null;
    this.number = 0;
  }

  /** Show a call over a span; asked anew when these are others, or now and then. */
  async show(call, range, marks, slow) {
    this.node.hidden = !call;
    const span = `${range.since.toFixed(0)}-${range.until.toFixed(0)}`;
    const told = `${slow.length} ${slow[0]?.start_ns}`;
    const same = told === this.told && call === this.call && (range.live ? performance.now() - this.asked < AGAIN_MS : span === this.span);
    if (!call || same) return;
    this.call = call;
    this.told = told;
    this.span = span;
    this.asked = performance.now();
    const number = ++this.number;
    try {
      const found = await ask("/api/latency", { pid: this.pid, start: this.start, call, since: range.since.toFixed(3), until: range.until.toFixed(3) });
      if (number === this.number) this.draw(call, found, range, marks, slow);
    } catch (error) {
      say(this.note, error.message);
    }
  }

  draw(call, found, { begin: since, until }, marks, slow) {
    const points = found?.points || [];
    const step = found?.step_s || 60;
    say(this.title, call);
    const middle = (point) => Math.min(Math.max(point.time + step / 2, since), until);
    const values = points.filter((point) => known(point.p50_ns));
    this.chart.show({
      since, until, marks, none: found ? "none was counted in this span" : "no history",
      cells: { points, step },
      dots: slow.filter((each) => each.call === call && each.began >= since).map((each) => ({ time: each.began, value: each.took_ns, text: words(each) })),
      series: [{ name: "", color: "c-wait", band: true, values: values.map((point) => [middle(point), point.p99_ns, point.p50_ns, point.p99_ns]) },
        { name: "p99", color: "c-wait", values: values.map((point) => [middle(point), point.p99_ns]) },
        { name: "p50", color: "c-calls", values: values.map((point) => [middle(point), point.p50_ns]) }],
    });
    const calls = points.reduce((sum, point) => sum + point.calls, 0);
    say(this.note, points.length ? `${countOf(calls, "call")} of all processes of ${found.program}${found.job ? ` in job ${found.job}` : ""}, by ${step < 3600 ? `${step / 60} min` : `${step / 3600} h`}; history keeps durations by program` : "");
  }
}

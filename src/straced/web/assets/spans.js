// The buttons that choose how much of the past a chart shows.

import { el } from "./dom.js";

export const SPANS = [["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800]];

/** A span whose first part nobody saw begins where something was seen, a minute ago at the latest. */
export const begin = (points, since, until) => Math.min(Math.max(since, points.length ? points[0].time - 2 : since), until - 60);

export class Spans {
  constructor(picked) {
    this.seconds = SPANS[0][1];
    this.node = el("div", { class: "choice", role: "group", "aria-label": "span" },
      ...SPANS.map(([title, seconds]) => el("button", {
        type: "button", "aria-pressed": String(seconds === this.seconds), "data-span": seconds,
        onclick: () => { this.choose(seconds); picked(); },
      }, title)));
  }

  choose(seconds) {
    this.seconds = seconds;
    for (const button of this.node.children) button.setAttribute("aria-pressed", String(Number(button.dataset.span) === seconds));
  }
}

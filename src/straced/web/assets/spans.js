// How much of the past the charts show: up to now, or a span that was zoomed into.

import { el, say } from "./dom.js";
import { note, number } from "./route.js";
import { clock, moment } from "./words.js";

export const SPANS = [["15 min", 900], ["1 h", 3600], ["6 h", 21600], ["24 h", 86400], ["7 d", 604800]];
const LEAST = 10;
const MOST = 90 * 86400;  // as long as history is kept

/** A span whose first part nobody saw begins where something was seen, a minute ago at the latest. */
export const begin = (points, since, until) => Math.min(Math.max(since, points.length ? points[0].time - 2 : since), until - 60);

export class Spans {
  /** changed(): another span was chosen; it stands in the URL by then. */
  constructor(changed) {
    this.changed = changed;
    this.buttons = SPANS.map(([title, seconds]) => el("button", { type: "button", "data-span": seconds, onclick: () => this.pick({ span: seconds }) }, title));
    this.words = el("span");
    this.zoomed = el("span", { class: "zoomed", hidden: true }, this.words,
      el("button", { type: "button", class: "out", title: "back to now (Esc)", onclick: () => this.pick({}) }, "back to now"));
    this.node = el("div", { class: "spans" }, el("div", { class: "choice", role: "group", "aria-label": "span" }, ...this.buttons), this.zoomed);
    this.restore({});
  }

  /** What the fields of a URL say. */
  restore(fields) {
    const seconds = number(fields.span);
    const [since, until] = [number(fields.since), number(fields.until)];
    this.seconds = SPANS.some(([, each]) => each === seconds) ? seconds : SPANS[0][1];
    this.zoom = since !== null && until !== null && since < until && until - since <= MOST ? { since, until } : null;
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(!this.zoom && Number(button.dataset.span) === this.seconds));
    this.zoomed.hidden = !this.zoom;
    if (this.zoom) say(this.words, `${moment(since)} to ${clock(until)}`);
  }

  pick({ span = this.seconds, since = null, until = null }) {
    const fields = { span: span === SPANS[0][1] ? null : span, since, until };
    note(fields);
    this.restore(fields);
    this.changed();
  }

  /** Zoom to what was dragged over. */
  drag(since, until) {
    const half = Math.max(LEAST, until - since) / 2;
    const middle = (since + until) / 2;
    this.pick({ since: Number((middle - half).toFixed(1)), until: Number((middle + half).toFixed(1)) });
  }

  /** Out of the zoom, if there is one. */
  out() {
    if (!this.zoom) return false;
    this.pick({});
    return true;
  }

  range(now) {
    return this.zoom || { since: Math.max(0, now - this.seconds), until: now };
  }
}

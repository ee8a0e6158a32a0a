// What is wrong now, in sight of the table: the open alerts, the newest first.

import { arrange, el, name, say } from "./dom.js";
import { link } from "./route.js";
import { age } from "./words.js";

const SHOWN = 3;
const WAITS = ["stuck", "uninterruptible"];

/** The process an alert is about, as keys of rows are; null: the host. */
export const about = (alert) => (/^\d+\.\d+$/.test(alert.subject) ? alert.subject.replace(".", "-") : null);

export class Flags {
  constructor() {
    this.known = new Map();
    this.more = el("a", { href: "#/alerts" });
    this.node = el("ul", { class: "flags", "aria-label": "open alerts", hidden: true });
  }

  show(open, now) {
    const newest = [...open].sort((a, b) => b.opened - a.opened).slice(0, SHOWN);
    this.known = new Map(newest.map((alert) => [alert.id, this.known.get(alert.id) || made(alert)]));
    for (const alert of newest) {
      const line = this.known.get(alert.id);
      say(line.text, alert.text);
      say(line.when, `for ${age(now - alert.opened)}`);
    }
    say(this.more, `${open.length - newest.length} more`);
    arrange(this.node, [...[...this.known.values()].map((line) => line.node), ...(open.length > newest.length ? [this.rest ??= el("li", {}, this.more)] : [])]);
    this.node.hidden = !open.length;
  }
}

function made(alert) {
  const line = { text: name(""), when: el("small") };
  const key = about(alert);
  const to = key ? link(`/process/${key}`, WAITS.includes(alert.kind) ? { why: "1" } : {}) : "#/alerts";
  return { ...line, node: el("li", {}, el("b", { class: "mono" }, alert.kind), line.when, el("a", { href: to }, line.text)) };
}

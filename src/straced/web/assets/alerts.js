// Alerts as they open and close, and the events of the service.

import { arrange, el, name, say } from "./dom.js";
import { ask } from "./line.js";
import { KINDS as SLOW, SlowPart } from "./slow.js";
import { age, clock, moment } from "./words.js";

const AGAIN_MS = 5000;
/** What each kind of alert means, as docs/service.md has it. */
export const MEANINGS = {
  cpu: "one process has used a CPU for longer than alerts.cpu_for",
  memory_spike: "the memory of a process is far above its mean of the last ten minutes",
  fds: "a process nears its limit of open descriptors",
  uninterruptible: "a process is in state D at every look, mostly waiting for a device",
  stuck: "a call is in flight in which nobody rests, or a deadlock, and nothing has completed",
  error_shift: "the share of failing calls is many times what it was",
  slow_calls: "many calls of one process took slow.limit or more within a minute",
  new_syscall: "the first time that a program makes a system call",
  new_errno: "the first time that a program gets an error",
  zombies: "the host has many processes that have exited and were not waited for",
  memory_pressure: "processes of the host wait for memory",
};

export class Alerts {
  constructor(state) {
    this.state = state;
    this.known = new Map();
    this.open = el("div", { class: "alerts", id: "open" });
    this.closed = el("div", { class: "alerts", id: "closed" });
    this.none = el("p", { class: "empty" }, "No alert is open.");
    this.past = el("section", { hidden: true }, el("h2", {}, "Closed"), this.closed);
    this.legend = el("details", { class: "meanings" }, el("summary", {}, "What the kinds of alerts mean"),
      el("dl", {}, ...Object.entries(MEANINGS).flatMap(([kind, meaning]) => [el("dt", { class: "mono" }, kind), el("dd", {}, meaning)])));
    this.slow = new SlowPart("all");
    this.asked = 0;
    this.events = el("ol", { class: "events" });
    this.node = el("div", {}, el("h1", { class: "unseen" }, "Alerts"), el("section", {}, el("h2", {}, "Open"), this.none, this.open, this.legend), this.past,
      this.slow.node, el("section", {}, el("h2", {}, "Events of the service"), this.events));
    this.shown = "";
  }

  get query() {
    return {};
  }

  show() {
    const open = this.state.open;
    const closed = this.state.alerts.filter((alert) => alert.closed !== null).sort((a, b) => b.closed - a.closed);
    this.none.hidden = open.length > 0;
    this.past.hidden = !closed.length;
    const kept = new Map();
    const cards = (alerts) => alerts.map((alert) => {
      const card = this.known.get(alert.id) || this.card(alert);
      kept.set(alert.id, card);
      this.fill(card, alert);
      return card.node;
    });
    arrange(this.open, cards(open));
    arrange(this.closed, cards(closed));
    this.known = kept;
    this.drawEvents();
    if (performance.now() - this.asked > AGAIN_MS) this.load();
  }

  /** The slow calls of the last hour. */
  async load() {
    this.asked = performance.now();
    const now = this.state.head ? this.state.head.epoch_s : Date.now() / 1000;
    try {
      this.slow.show(await ask("/api/slow", { since: (now - 3600).toFixed(3), until: (now + 1).toFixed(3) }));
    } catch {
      this.asked = performance.now();  // the line says what is wrong
    }
  }

  card(alert) {
    const parts = { when: el("small"), text: name(""), state: el("b") };
    const about = /^(\d+)\.(\d+)$/.exec(alert.subject);
    const link = about ? el("a", { href: `#/process/${about[1]}-${about[2]}` }, "look at it") : null;
    return { ...parts, node: el("article", { "data-alert": alert.kind }, el("div", {}, parts.state, el("span", { class: "mono" }, alert.kind), el("small", { class: "meaning" }, MEANINGS[alert.kind] || ""), alert.job ? el("span", {}, "job ", name(alert.job)) : null, parts.when), el("p", {}, parts.text), link) };
  }

  fill(card, alert) {
    card.node.classList.toggle("bad", alert.closed === null);
    say(card.state, alert.closed === null ? "open" : "closed");
    say(card.text, alert.text);
    const now = this.state.head ? this.state.head.epoch_s : alert.updated;
    say(card.when, alert.closed === null ? `since ${moment(alert.opened)}, ${age(now - alert.opened)}` : `${moment(alert.opened)}, for ${age(alert.closed - alert.opened)}`);
  }

  drawEvents() {
    const notes = this.state.notes.filter((note) => !SLOW.includes(note.kind));  // they have a table
    const mark = `${notes.length} ${notes.at(-1)?.epoch_s} ${notes.at(-1)?.text}`;
    if (mark === this.shown) return;
    this.shown = mark;
    this.events.replaceChildren(...notes.slice(-200).reverse().map((note) => el("li", { class: note.severe ? "severe" : null },
      el("time", { title: moment(note.epoch_s) }, clock(note.epoch_s)), el("b", {}, note.kind), note.pid ? el("span", {}, String(note.pid)) : null, name(note.text))));
  }

  close() {}
}

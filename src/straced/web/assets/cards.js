// The machine, in eight figures.

import { el, say } from "./dom.js";
import { count, rate, share, size } from "./words.js";

const LEADS = { alerts: "#/alerts" };
const TITLES = ["CPU", "memory", "load", "pressure", "calls/s", "errors/s", "processes", "alerts"];

export class Cards {
  constructor() {
    this.cards = new Map(TITLES.map((title) => {
      const value = el("b");
      const more = el("small");
      return [title, { value, more, node: el(LEADS[title] ? "a" : "div", { class: "card", href: LEADS[title], "data-card": title }, el("span", {}, title), value, more) }];
    }));
    this.node = el("div", { class: "cards" }, ...[...this.cards.values()].map((card) => card.node));
  }

  set(title, value, more, bad = false) {
    const card = this.cards.get(title);
    say(card.value, value);
    say(card.more, more);
    card.node.classList.toggle("bad", bad);
  }

  show(head, processes) {
    const { machine } = head;
    this.set("CPU", `${share(machine.cpu_pct)} %`, `of ${machine.cpus} CPUs`);
    this.set("memory", size(machine.memory_used_bytes), `of ${size(machine.memory_bytes)}`);
    this.set("load", machine.load ? machine.load[0].toFixed(2) : "-", machine.load ? machine.load.slice(1).map((value) => value.toFixed(2)).join("  ") : "");
    const pressures = Object.entries(machine.pressure || {}).sort(([, a], [, b]) => b - a);  // what is cut on a phone is the least
    this.set("pressure", pressures.length ? `${share(Math.max(...pressures.map(([, value]) => value)))} %` : "-", pressures.map(([what, value]) => `${what.slice(0, 3)} ${share(value)}`).join("  ") || "no PSI here");
    this.set("calls/s", rate(head.calls_s), head.tracer ? "entered" : "not counted");
    this.set("errors/s", rate(head.errors_s), "failed", head.errors_s > 0);
    this.set("processes", count(processes), head.tracer === null ? "not counted" : `${count(head.watched)} counted`);
    this.set("alerts", count(head.alerts), head.alerts ? "open" : "none open", head.alerts > 0);
  }
}

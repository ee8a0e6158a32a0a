// Why a process waits: one sentence, the chain of those who hold it up, and where that was read.

import { el, name, say } from "./dom.js";
import { ask } from "./line.js";
import { here, link, note } from "./route.js";
import { clock } from "./words.js";

export class WhyPart {
  constructor(key) {
    this.key = key;
    this.on = false;
    this.number = 0;
    this.button = el("button", { type: "button", id: "why", "aria-expanded": "false", "aria-controls": "answer", onclick: () => this.toggle() }, "why does it wait?");
    this.node = el("section", { id: "answer", class: "why", "aria-live": "polite", hidden: true });
  }

  /** What the URL says: with ?why=1 the question is asked. */
  restore() {
    const wanted = here().fields.why === "1";
    if (wanted !== this.on) this.set(wanted);
  }

  toggle() {
    note({ why: this.on ? null : "1" });
    this.set(!this.on);
  }

  set(on) {
    this.on = on;
    this.node.hidden = !on;
    this.button.setAttribute("aria-expanded", String(on));
    if (on) this.ask();
  }

  async ask() {
    const number = ++this.number;
    this.node.replaceChildren(el("p", { class: "asking" }, "Watching it for a moment …"));
    let shown;
    try {
      const [pid, start] = this.key.split("-");
      shown = this.answer(await ask("/api/why", { pid, start }));
    } catch (error) {
      shown = [el("p", {}, `No answer: ${error.message.replace(/^\d+ /, "")}.`)];
    }
    if (number !== this.number) return;
    const again = el("button", { type: "button", onclick: () => this.ask() }, "ask again");
    const close = el("button", { type: "button", onclick: () => this.toggle() }, "close");
    this.node.replaceChildren(...shown, el("p", { class: "foot" }, again, close));
  }

  answer(why) {
    const part = (title, texts) => (texts.length ? [el("dt", {}, title), ...texts.map((text) => el("dd", {}, name(text)))] : []);
    return [
      el("p", { class: "sentence", "data-verdict": why.verdict }, name(why.sentence)),
      el("ol", { class: "chain" }, ...why.chain.map(row)),
      el("dl", { class: "evidence" }, ...part("evidence", why.evidence), ...part("not seen", why.not_seen), ...part("next", why.next ? [why.next] : [])),
      el("p", { class: "weak" }, `as of ${clock(why.epoch_s)}, watched for 1.5 s; the same as `, el("code", {}, `straced why ${why.key[0]}`)),
    ];
  }

  close() {
    this.number++;
  }
}

function row(each) {
  const who = each.key ? el("a", { href: link(`/process/${each.key.join("-")}`, { why: "1" }) }, name(each.who)) : name(each.who);
  const item = el("li", {}, el("b", {}, who), el("span", { class: "mono" }, name(each.call)), el("span", { class: "mono" }, name(each.resource)), el("small", {}, each.ran), each.mark ? el("em", {}, each.mark) : null);
  item.style.setProperty("--depth", Math.min(each.depth, 12));
  return item;
}

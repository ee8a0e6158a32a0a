// A click on a chart picks a moment; dragging over it picks a span.

import { el } from "./dom.js";
import { age, clock } from "./words.js";

const STEPS_PX = 6;

export class Dragging {
  /** at(event): the moment below the pointer; x(moment): where it is; picked(moment), dragged(since, until). */
  constructor(box, { at, x, picked, dragged }) {
    Object.assign(this, { box, at, x, picked, dragged });
    this.from = null;
    this.shade = el("div", { class: "drag", hidden: true }, el("span"));
    box.append(this.shade);
    box.classList.toggle("pick", Boolean(picked));
    box.classList.toggle("zoom", Boolean(dragged));
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.move(event));
    box.addEventListener("pointerup", (event) => this.up(event));
    box.addEventListener("pointercancel", () => this.end());
  }

  down(event) {
    if (event.button !== 0) return;
    this.from = { x: event.clientX, at: this.at(event) };
    this.box.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.from || !this.dragged) return;
    const wide = Math.abs(event.clientX - this.from.x) >= STEPS_PX;
    this.shade.hidden = !wide;
    if (!wide) return;
    const [since, until] = [this.from.at, this.at(event)].sort((a, b) => a - b);
    this.shade.style.left = `${this.x(since)}px`;
    this.shade.style.width = `${this.x(until) - this.x(since)}px`;
    this.shade.firstChild.textContent = `${clock(since)} + ${age(until - since)}`;
  }

  up(event) {
    const { from } = this;
    if (!from) return;
    this.end();
    const to = this.at(event);
    if (this.dragged && Math.abs(event.clientX - from.x) >= STEPS_PX) this.dragged(...[from.at, to].sort((a, b) => a - b));
    else this.picked?.(to);
  }

  end() {
    this.from = null;
    this.shade.hidden = true;
  }
}

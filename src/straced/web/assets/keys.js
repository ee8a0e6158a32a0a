// Keys of all pages, and the list of them.

import { el } from "./dom.js";

const KEYS = [["/", "filter"], ["j k ↓ ↑", "next, previous process"], ["Enter", "open it"], ["w", "why does it wait"], ["f", "its calls by file and peer"], ["s", "sort by the next column"], ["g", "tree, flat, by program, by job"],
  ["[ ]", "a minute back, forward"], ["Esc", "out of the minute, the zoom, the process"], ["p a", "processes, alerts"], ["?", "these keys"]];

export const steps = { p: () => { location.hash = "#/"; }, a: () => { location.hash = "#/alerts"; } };

let shown = null;

export function help() {
  if (!shown) {
    const close = el("button", { type: "button", onclick: () => shown.close() }, "close");
    shown = el("dialog", { class: "keys", "aria-label": "keys" }, el("h2", {}, "Keys"), el("dl", {}, ...KEYS.flatMap(([keys, words]) => [el("dt", {}, ...keys.split(" ").map((key) => el("kbd", {}, key))), el("dd", {}, words)])),
      el("p", {}, "Drag over a chart to zoom. The address of the page holds all that is chosen: send it to show the same."), close);
    document.body.append(shown);
  }
  shown.showModal();
}

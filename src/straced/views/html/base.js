"use strict";
// Foreign text reaches the page through textContent only; nothing here builds markup from strings.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, from = document) => from.querySelector(selector);
const make = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};
const draw = (tag, attributes, cls) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (cls) node.setAttribute("class", cls);
  return node;
};
const button = (text, clicked, pressed) => {
  const node = make("button", text);
  node.type = "button";
  if (pressed !== undefined) node.setAttribute("aria-pressed", String(pressed));
  node.addEventListener("click", clicked);
  return node;
};
const known = (value) => value !== null && value !== undefined;
const count = (value) => known(value) ? value.toLocaleString("en-US") : "-";
/** A count with its noun: "1 call", "1,204 calls". */
const countOf = (value, one, many = one + "s") => `${count(value)} ${value === 1 ? one : many}`;
const time = (ns) => {
  if (!known(ns)) return "-";
  for (const [limit, unit, size] of [[1e3, "ns", 1], [1e6, "us", 1e3], [1e9, "ms", 1e6]])
    if (ns < limit) return (ns / size < 9.95 && size > 1 ? (ns / size).toFixed(1) : Math.round(ns / size)) + " " + unit;
  return (ns / 1e9 < 99.5 ? (ns / 1e9).toFixed(1) : count(Math.round(ns / 1e9))) + " s";
};
const bytes = (value) => {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return (unit === "B" ? value : value.toFixed(1)) + " " + unit;
    value /= 1000;
  }
  return value.toFixed(1) + " TB";
};
const seconds = (value) => known(value) ? value.toFixed(value < 100 ? 3 : 1) + " s" : "-";
const percent = (value) => value >= 9.95 ? value.toFixed(0) + " %" : value >= 0.05 ? value.toFixed(1) + " %" : value > 0 ? "<0.1 %" : "0 %";
const classOf = {};
for (const row of data.summary) classOf[row.name] = row.class;
const CLASSES = ["wait", "file", "network", "memory", "process", "other"];

const tip = document.getElementById("tip");
const say = (event, text) => {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + "px";
};
const legend = (classes) => {
  const node = make("p", null, "legend");
  for (const name of classes) {
    const each = make("span");
    each.append(make("i", null, name), name);
    node.append(each);
  }
  return node;
};

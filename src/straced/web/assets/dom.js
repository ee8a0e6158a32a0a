// Elements without markup: text goes in as text nodes only, so that no name of a process is ever more than a name.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, fields, children) {
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (tag, fields = {}, ...children) => fill(document.createElement(tag), fields, children);
export const svg = (tag, fields = {}, ...children) => fill(document.createElementNS(SVG, tag), fields, children);
export const byId = (id) => document.getElementById(id);

/** A name from elsewhere: by itself, whichever way its letters run. */
export const name = (text, fields = {}) => el("bdi", fields, text);

export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make the children of a node these, in this order, moving no more than has to be moved. */
export function arrange(parent, nodes) {
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** A tip beside the pointer. */
export function tip(event, text) {
  const node = byId("tip");
  if (!event) {
    node.hidden = true;
    return;
  }
  say(node, text);
  node.hidden = false;
  const box = node.getBoundingClientRect();
  const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - 14 - box.width : event.clientX + 14;
  node.style.left = `${Math.max(4, left)}px`;
  node.style.top = `${Math.min(innerHeight - box.height - 4, event.clientY + 14)}px`;
}

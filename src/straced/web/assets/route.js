// Where one is and what one looks at, as the fragment of the URL: a link opens the same, "back" goes back.

/** {path: "/process/42-7", fields: {span: "3600"}}. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", fields: Object.fromEntries(new URLSearchParams(query)) };
}

export function link(path, fields = {}) {
  const set = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `#${path}${set.length ? `?${new URLSearchParams(set)}` : ""}`;
}

/** Note what is looked at; with `step` it is a step that "back" takes back. What is null is as it is at first. */
export function note(fields, step = true) {
  const { path, fields: known } = here();
  const to = link(path, { ...known, ...fields });
  if (to === (location.hash || "#/")) return;
  if (step) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
}

/** A number of a field, if it is one. */
export function number(text) {
  return /^\d{1,12}(\.\d{1,3})?$/.test(text ?? "") ? Number(text) : null;
}

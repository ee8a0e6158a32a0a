// The flame graph: programs below those that started them, their calls, and the paths or errors of these.
const KINDS = ["proc", "call", "path", "errno"], FROW = 20;
function flame() {
  const section = $("#flame"), body = $(".body", section), words = $(".say", section), search = $("input", section), tools = $(".tools", section);
  if (!data.flame) { body.append(make("p", "Nothing to show.", "weak")); return; }
  const box = ([name, kind, calls, errors, ns, processes, below], above = null) => {
    const node = { name: data.names[name], kind: KINDS[kind], values: { ns, calls, errors }, processes, above };
    node.cls = !above ? "root" : node.kind === "call" ? classOf[node.name] || "other" : node.kind;
    node.title = node.processes > 1 ? `${node.name} × ${count(node.processes)}` : node.name;
    node.below = below.map((each) => box(each, node));
    return node;
  };
  const root = box(data.flame);
  const MEASURES = [["time", "ns"], ["calls", "calls"], ["errors", "errors"]].slice(data.timed ? 0 : 1);
  let measure = MEASURES[0][1], top = root, painted = 0;
  const waiting = (node) => node.kind === "call" ? (node.cls === "wait" ? node.values.ns || 0 : 0) : node.below.reduce((sum, each) => sum + (each.kind === "path" || each.kind === "errno" ? 0 : waiting(each)), 0);
  const waits = waiting(root);
  let hidden = data.timed && waits > root.values.ns / 2 && waits < root.values.ns;
  const matches = (node, wanted) => Boolean(wanted) && node.name.toLowerCase().includes(wanted);
  const anyWait = (node, wanted) => (node.cls === "wait" && matches(node, wanted)) || node.below.some((each) => anyWait(each, wanted));
  const anyOther = (node, wanted) => (node.cls !== "wait" && matches(node, wanted)) || node.below.some((each) => anyOther(each, wanted));
  const choice = make("span", null, "choice");
  choice.setAttribute("role", "group");
  choice.setAttribute("aria-label", "measure");
  for (const [title, key] of MEASURES) {
    const each = button(title, () => { measure = key; at = null; paint(); }, key === measure);
    each.dataset.measure = key;
    choice.append(each);
  }
  const toggle = button("", () => { hidden = !hidden; at = null; paint(); }, hidden);
  toggle.dataset.waits = "";
  tools.prepend(choice, toggle);
  section.insertBefore(legend([...CLASSES, "path", "errno"]), body);
  const svg = draw("svg", { role: "img", "aria-label": "flame graph" });
  body.append(svg);
  body.tabIndex = 0;
  body.setAttribute("role", "region");
  body.setAttribute("aria-label", "flame graph: arrows go from box to box, Enter zooms in, Escape shows all");
  words.setAttribute("role", "status");
  const sorted = (node) => node.below.filter((each) => each.value).sort((a, b) => b.value - a.value);
  let at = null;
  const unit = (value) => measure === "ns" ? time(value) : `${count(value)} ${measure}`;
  /** What each box is worth now: waits may be left out, and what is below them with them. */
  const weigh = (node, without) => {
    if (without && node.cls === "wait") node.value = 0;
    else if (node.kind === "proc") node.value = node.below.reduce((sum, each) => sum + weigh(each, without), 0) + rest(node);
    else { node.value = node.values[measure] || 0; for (const each of node.below) each.value = each.values[measure] || 0; }
    return node.value;
  };
  /** Of calls that are too small to be in this page. */
  const rest = (node) => Math.max(0, (node.values[measure] || 0) - node.below.reduce((sum, each) => sum + (each.values[measure] || 0), 0));
  const paint = () => {
    const wanted = search.value.toLowerCase();
    const without = measure === "ns" && hidden && !(anyWait(root, wanted) && !anyOther(root, wanted));
    weigh(root, without);
    if (!top.value) top = root;
    for (const each of choice.children) each.setAttribute("aria-pressed", String(each.dataset.measure === measure));
    toggle.hidden = measure !== "ns" || !waits;
    toggle.setAttribute("aria-pressed", String(without));
    toggle.textContent = without ? `waits hidden (${percent(100 * waits / root.values.ns)} of time)` : "hide waits";
    const width = painted = Math.max(240, body.clientWidth), nodes = [], chain = [];
    for (let node = top.above; node; node = node.above) chain.unshift(node);
    let deepest = 0, found = 0;
    const put = (node, x, wide, depth) => {
      if (wide < 0.5) return;
      deepest = Math.max(deepest, depth);
      const hit = matches(node, wanted);
      const rect = draw("rect", { x, y: depth * FROW, width: Math.max(0.5, wide - 0.5), height: FROW - 1, rx: 2 }, `frame ${node.cls}${hit ? " hit" : ""}${node === at ? " at" : ""}`);
      rect.box = node;
      nodes.push(rect);
      if (wide > 34) {
        const text = draw("text", { x: x + 4, y: depth * FROW + 14 });
        const room = Math.floor((wide - 8) / 6.2);
        text.textContent = node.title.length > room ? node.title.slice(0, Math.max(1, room - 1)) + "…" : node.title;
        nodes.push(text);
      }
    };
    const walk = (node, x, wide, depth) => {
      put(node, x, wide, depth);
      let at = x;
      for (const below of [...node.below].sort((a, b) => (b.value || 0) - (a.value || 0))) {
        const part = node.value ? wide * (below.value || 0) / node.value : 0;
        if (part >= 0.5) walk(below, at, part, depth + 1);
        at += part;
      }
    };
    const sum = (node) => matches(node, wanted) ? node.value || 0 : node.below.reduce((all, each) => all + sum(each), 0);
    if (wanted) found = sum(root);
    chain.forEach((node, depth) => put(node, 0, width, depth));
    walk(top, 0, width, chain.length);
    svg.setAttribute("width", width);
    svg.setAttribute("height", (deepest + 1) * FROW);
    svg.replaceChildren(...nodes);
    svg.dataset.top = top.name;
    svg.dataset.measure = measure;
    const told = at || top;
    words.textContent = `${told.title}: ${unit(told.value)}, ${percent(100 * told.value / (root.value || 1))} of all${without ? " but waits" : ""}` + (wanted ? ` · "${search.value}": ${unit(found)}, ${percent(100 * found / (root.value || 1))}` : "");
  };
  svg.addEventListener("pointermove", (event) => {
    const node = event.target.box;
    if (!node) return say(event, "");
    const { ns, calls, errors } = node.values;
    say(event, [node.title, `${unit(node.value)}, ${percent(100 * node.value / (root.value || 1))} of all`, [known(ns) ? time(ns) : null, known(calls) ? countOf(calls, "call") : null, known(errors) ? countOf(errors, "error") : null].filter(Boolean).join(" · ")].join("\n"));
  });
  svg.addEventListener("pointerleave", (event) => say(event, ""));
  svg.addEventListener("click", (event) => { if (event.target.box) { top = event.target.box; at = null; paint(); } });
  body.addEventListener("keydown", (event) => {
    const from = at || top, beside = from === top ? [from] : sorted(from.above), place = beside.indexOf(from);
    const go = { ArrowDown: () => { at = sorted(from)[0] || from; }, ArrowUp: () => { at = from.above || from; if (from === top) top = at; },
      ArrowLeft: () => { at = beside[Math.max(0, place - 1)]; }, ArrowRight: () => { at = beside[Math.min(beside.length - 1, place + 1)]; },
      Enter: () => { top = from; }, Escape: () => { top = root; at = null; } }[event.key];
    if (!go || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go();
    paint();
  });
  body.addEventListener("blur", () => { if (at) { at = null; paint(); } });
  search.addEventListener("input", paint);
  // another height is our own doing: painted anew below a click, the boxes would lose it
  new ResizeObserver(() => { if (Math.max(240, body.clientWidth) !== painted) paint(); }).observe(body);
  paint();
}

// Which page is shown, whether the line stands, and how far the figures hold.

import { Alerts } from "./alerts.js";
import { arrange, byId, el, say } from "./dom.js";
import { help, steps } from "./keys.js";
import { Line, Locked, unlock } from "./line.js";
import { Overview } from "./overview.js";
import { Process } from "./process.js";
import { here } from "./route.js";
import { State } from "./state.js";
import { age, clock, count, countOf, known, sentence, share } from "./words.js";

const PLACES = /^\/(alerts|process\/\d{1,10}-\d{1,18})?$/;
const TRACERS = { ebpf: "eBPF", strace: "strace", sampler: "sampler" };
const state = new State();
let page = null;
let shown = null;
let line = null;
let lost = null;
let gap = null;

const told = {
  begun: () => { state.begin(); },
  news: (news) => {
    lost = null;
    state.take(news);
    if (news.head && state.gaps) gap = { ticks: state.gaps, at: performance.now() };
    if (news.head || news.alerts || news.seen) page?.show();
    frame();
  },
  beat: () => { lost = null; frame(); },
  lost: (why) => { lost = lost || { why, at: Date.now() / 1000 }; frame(); },
  locked,
};

/** Open the page that the URL names; one that is open already shows what else the URL says. */
function open() {
  if (!PLACES.test(here().path)) history.replaceState(null, "", "#/");  // it names nothing: it was cut, or typed
  const { path, fields } = here();
  const parts = path.split("/");
  if (page && shown === path) {
    page.restore?.(fields);
    return;
  }
  shown = path;
  page?.close();
  const made = parts[1] === "process" ? new Process(state, parts[2], listen) : parts[1] === "alerts" ? new Alerts(state) : new Overview(state);
  document.title = state.head ? `straced · ${state.head.host}` : "straced";
  page = made;
  byId("page").replaceChildren(page.node);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === (parts[1] || "overview")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  };
  listen();
  page.show();
  scrollTo(0, 0);
}

function listen() {
  line?.close();
  line = document.hidden ? null : new Line(page.told || page.query, told);
}

function locked() {
  line?.close();
  line = null;
  page = null;
  const given = el("input", { type: "password", autocomplete: "off", "aria-label": "URL or token", placeholder: "URL or token" });
  const word = el("p", { class: "bad", role: "alert" });
  const enter = async () => {
    if (await unlock(given.value)) start();
    else say(word, "This is not the token of this service.");
  };
  given.addEventListener("keydown", (event) => { if (event.key === "Enter") enter(); });
  byId("page").replaceChildren(el("div", { class: "locked" }, el("h1", {}, "This page is locked"),
    el("p", {}, "Open the URL that ", el("code", {}, "straced serve"), " tells when it starts; it also stands in ", el("code", {}, "web.url"), " in its state folder, which its owner alone can read:"),
    el("p", {}, el("code", {}, "sudo cat /var/lib/straced/web.url"), " or ", el("code", {}, "cat ~/.local/state/straced/web.url")), given, el("button", { type: "button", onclick: enter }, "open"), word));
  say(byId("line").lastChild, "locked");
  byId("line").className = "bad";
  arrange(byId("banners"), []);
}

/** The words around the page: the line, banners, quality. */
function frame() {
  const { head } = state;
  const node = byId("line");
  const since = head ? (performance.now() - state.heard) / 1000 : 0;
  const slow = head && since > 2.5 * (head.interval_ns / 1e9) + 3;
  node.className = lost || slow ? "bad" : head ? "good" : "";
  say(node.lastChild, lost ? "connection lost" : slow ? `silent for ${age(since)}` : head ? `live · ${age(since)} ago` : "connecting");
  if (head && byId("host").textContent !== head.host) say(byId("host"), head.host);
  const alarms = byId("alarms");
  alarms.hidden = !state.open.length;
  say(alarms, String(state.open.length));
  document.body.classList.toggle("old", Boolean(lost || slow));
  arrange(byId("banners"), banners(head, since, slow).map(([kind, text]) => el("p", { class: kind }, text)));
  if (head) quality(head);
}

function banners(head, since, slow) {
  const found = [];
  if (lost) found.push(["bad", `No connection to the service since ${clock(lost.at)} (${lost.why}). ${head ? `These figures are ${age(since)} old. ` : ""}Trying again.`]);
  else if (slow) found.push(["bad", `The service has told nothing new for ${age(since)}; it should every ${age(head.interval_ns / 1e9)}.`]);
  if (gap && performance.now() - gap.at < 15000) found.push(["weak", `Gap: ${count(gap.ticks)} refresh${gap.ticks === 1 ? " was" : "es were"} not shown here, since this connection or page was too slow. The service has them.`]);
  if (!head) return found;
  if (head.config_error) found.push(["bad", `The new configuration was not taken: ${head.config_error}`]);
  if (!["ok", "off"].includes(head.history)) found.push(["bad", `History is not kept: ${head.history}.`]);
  if (head.tracer === null) found.push(["weak", sentence(head.tracer_reason || "calls not counted")]);
  else if (head.quality.kind === "lossy") found.push(["bad", `Lossy: ${known(head.quality.lost) ? countOf(head.quality.lost, "call is", "calls are") : "an unknown number of calls are"} missing.`]);
  else for (const reason of head.quality.reasons) found.push(["weak", sentence(reason.text)]);
  return found;
}

const words = el("bdi");

function quality(head) {
  const node = byId("quality");
  if (!node.firstChild) node.append(el("p", {}, words), el("p", {}, '"-" means unknown, not zero · ', el("button", { type: "button", class: "plain", onclick: help }, "keys: ?")));

  const lossless = known(head.quality.lost) ? `${count(head.quality.lost)} lost` : "lost: unknown";
  const counted = head.tracer ? [head.quality.kind, TRACERS[head.tracer] || head.tracer, lossless] : ["/proc only"];
  say(words, [`every ${age(head.interval_ns / 1e9)}`, ...counted, `straced itself ${share(head.cost_pct)} % CPU`, `${count(head.late_ticks)} late`, `${count(head.rules)} rule${head.rules === 1 ? "" : "s"}`, `history ${head.history}`, `straced ${head.version}`].join(" · "));
}

async function start() {
  try {
    if (/^#[A-Za-z0-9_-]{43}$/.test(location.hash)) {
      const token = location.hash;
      history.replaceState(null, "", "/");
      if (!(await unlock(token))) throw new Locked();
    }
  } catch (error) {
    if (error instanceof Locked) return locked();
    lost = { why: error.message, at: Date.now() / 1000 };
  }
  open();
  return undefined;
}

addEventListener("hashchange", () => { if (/^#[A-Za-z0-9_-]{43}$/.test(location.hash)) start(); else if (page) open(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog")) return;
  const step = event.key === "?" ? help : page?.key?.(event) || steps[event.key];
  if (!step) return;
  event.preventDefault();
  step();
});
document.addEventListener("visibilitychange", () => { if (page) listen(); });
setInterval(() => { if (page) frame(); }, 1000);
start();

// What the page knows: rows by process, the head of the last frame, and what was told besides.

import { Shorts } from "./shorts.js";

const TRAIL = 60;
const NOTES = 300;
const TOTALS = 900;

export const keyOf = (row) => `${row.pid}-${row.start_ticks}`;

export class State {
  constructor() {
    this.head = null;
    this.rows = new Map();
    this.brief = [];
    this.notes = [];
    this.alerts = [];
    this.totals = [];
    this.seen = null;
    this.gaps = 0;
    this.heard = 0;
    this.shorts = new Shorts();
  }

  /** A new line tells everything anew; what was known stays on the screen until it does. */
  begin() {
    this.stale = true;
    this.unnoted = true;
  }

  take(news) {
    if (this.stale && news.head) {
      this.rows = new Map();
      this.stale = false;
    }
    for (const who of news.who || []) {
      const key = keyOf(who);
      this.rows.set(key, { ...(this.rows.get(key) || { trail: [] }), ...who });
    }
    for (const [pid, start, trail] of news.trails || []) {
      const row = this.rows.get(`${pid}-${start}`);
      if (row) row.trail = trail.slice(0, -1);
    }
    for (const figures of news.rows || []) Object.assign(this.rows.get(keyOf(figures)) || {}, figures);
    for (const [pid, start] of news.gone || []) this.rows.delete(`${pid}-${start}`);
    if (news.recent) this.totals = news.recent.slice(0, -1);
    if (news.notes) {
      this.notes = [...(this.unnoted ? [] : this.notes), ...news.notes].slice(-NOTES);
      this.unnoted = false;
    }
    if (news.alerts) this.alerts = news.alerts;
    if (news.seen) this.seen = news.seen;
    if (news.head) this.frame(news);
  }

  frame(news) {
    this.head = news.head;
    this.heard = performance.now();
    this.gaps = news.gap || 0;
    this.brief = this.shorts.rows(this.head.short_lived || [], true);
    for (const row of this.rows.values()) {
      if (row.calls_s === null || row.calls_s === undefined) continue;
      row.trail.push(row.calls_s);
      if (row.trail.length > TRAIL) row.trail.shift();
    }
    const { machine } = this.head;
    const pressures = Object.values(machine.pressure || {});
    this.totals.push({
      time: this.head.epoch_s,
      calls_s: this.head.calls_s,
      errors_s: this.head.errors_s,
      cpu_pct: machine.cpu_pct,
      memory_bytes: machine.memory_used_bytes,
      load: machine.load ? machine.load[0] : null,
      pressure_pct: pressures.length ? Math.max(...pressures) : null,
    });
    if (this.totals.length > TOTALS) this.totals.shift();
  }

  get open() {
    return this.alerts.filter((alert) => alert.closed === null);
  }
}

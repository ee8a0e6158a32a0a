// Numbers as people read them. "-" means unknown, not zero.

export const known = (value) => value !== null && value !== undefined;

/** Events a second: 0, 0.4, 12, 12,034, 1.2M. */
export function rate(value) {
  if (!known(value)) return "-";
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  if (value < 9.95) return value.toFixed(1);
  if (value < 999999.5) return Math.round(value).toLocaleString("en");
  return value < 9.995e8 ? `${(value / 1e6).toFixed(1)}M` : `${(value / 1e9).toFixed(1)}G`;
}

/** The same beside an axis, where there is room for little: 12k, 250k. */
export const brief = (value) => (value >= 9999.5 && value < 999999.5 ? `${Number((value / 1000).toFixed(1))}k` : rate(value));

/** Percent: 0, 0.4, 12, 1234. */
export function share(value) {
  if (!known(value)) return "-";
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 9.95 ? value.toFixed(1) : value.toFixed(0);
}

export const count = (value) => (known(value) ? value.toLocaleString("en") : "-");
/** A count with its noun: "1 call", "1,204 calls". */
export const countOf = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** Bytes in powers of 1000: 999, 1.6M, 25G. */
export function size(value) {
  if (!known(value)) return "-";
  let amount = value;
  for (const unit of ["", "k", "M", "G"]) {
    if (amount < 999.5) return unit && amount < 9.95 ? amount.toFixed(1) + unit : amount.toFixed(0) + unit;
    amount /= 1000;
  }
  return `${amount.toFixed(1)}T`;
}

/** Nanoseconds: 3 ns, 1.2 us, 98 ms, 12.4 s. */
export function time(ns) {
  if (!known(ns)) return "-";
  const units = [["ns", 1], ["us", 1e3], ["ms", 1e6], ["s", 1e9]];
  const [unit, scale] = units.findLast(([, scale]) => ns >= scale) || units[0];
  const value = ns / scale;
  if (value === 0) return "0 ns";
  const decimal = unit !== "ns" && value < (unit === "s" ? 99.95 : 9.95);
  return `${decimal ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ${unit}`;
}

/** Seconds as an age: 0.4 s, 12 s, 3 min, 5 h, 2 d. */
export function age(seconds) {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 120) return `${s.toFixed(0)} s`;
  if (s < 7200) return `${(s / 60).toFixed(0)} min`;
  return s < 172800 ? `${(s / 3600).toFixed(0)} h` : `${(s / 86400).toFixed(0)} d`;
}

const two = (number) => String(number).padStart(2, "0");

export function clock(epoch, seconds = true) {
  const at = new Date(epoch * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
}

export function moment(epoch) {
  const at = new Date(epoch * 1000);
  const today = new Date().toDateString() === at.toDateString();
  return today ? clock(epoch) : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(epoch)}`;
}

export const command = (row) => row.cmdline || `[${row.comm}]`;

/** The command line in two: the program, without its directory where that is plain, and the rest; as in straced top. */
export function spoken(row) {
  const words = command(row);
  const blank = words.indexOf(" ");
  const first = blank < 0 ? words : words.slice(0, blank);
  const base = first.slice(first.lastIndexOf("/") + 1);
  return [base && base.slice(0, 15) === row.comm.slice(0, 15) ? base : first, blank < 0 ? "" : words.slice(blank)];
}

export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");

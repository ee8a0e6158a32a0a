// The line to the service: what is new comes as server-sent events, read by fetch, since the key goes in a header.

const SILENT_MS = 10000;
const KEY = "straced-key";
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

export class Locked extends Error {}

/** The token out of an opened URL (or one that was pasted) becomes a cookie and a key, and leaves the address bar. */
export async function unlock(text) {
  const token = text.slice(text.lastIndexOf("#") + 1).trim();
  if (!TOKEN.test(token)) return false;
  const answer = await fetch("/api/login", { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) return false;
  localStorage.setItem(KEY, (await answer.json()).key);
  return true;
}

const headers = () => ({ "X-Straced-Key": localStorage.getItem(KEY) || "" });

/** A question; the answer as values. */
export async function ask(path, fields) {
  const answer = await fetch(`${path}?${new URLSearchParams(fields)}`, { headers: headers() });
  if (answer.status === 401) throw new Locked();
  if (!answer.ok) throw new Error(`${answer.status} ${(await answer.text()).trim()}`);
  return answer.json();
}

/** Listens, and tries again for as long as it is not closed. */
export class Line {
  constructor(fields, told) {
    this.query = new URLSearchParams(fields);
    this.told = told;
    this.closed = false;
    this.run();
  }

  close() {
    this.closed = true;
    this.abort?.abort();
  }

  async run() {
    for (let wait = 500; !this.closed; wait = Math.min(wait * 2, 5000)) {
      try {
        await this.listen(() => { wait = 500; });
        if (!this.closed) this.told.lost("the service closed the connection");
      } catch (error) {
        if (this.closed) return;
        if (error instanceof Locked) {
          this.told.locked();
          return;
        }
        this.told.lost(error.name === "AbortError" ? "nothing was heard" : error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async listen(heard) {
    this.abort = new AbortController();
    let watch = setTimeout(() => this.abort.abort(), SILENT_MS);
    try {
      const answer = await fetch(`/api/live?${this.query}`, { headers: headers(), signal: this.abort.signal });
      if (answer.status === 401) throw new Locked();
      if (!answer.ok) throw new Error((await answer.text()).trim());
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      this.told.begun();
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.closed) return;
        clearTimeout(watch);
        watch = setTimeout(() => this.abort.abort(), SILENT_MS);
        heard();
        text += value;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          this.take(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    } finally {
      clearTimeout(watch);
    }
  }

  take(block) {
    if (this.closed || !block.startsWith("event: ")) return;
    const [first, ...rest] = block.split("\n");
    const data = rest.map((line) => line.replace(/^data: /, "")).join("\n");
    if (first === "event: news") this.told.news(JSON.parse(data));
    else this.told.beat();
  }
}

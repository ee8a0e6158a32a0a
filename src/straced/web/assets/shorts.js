// What came and went between two refreshes, as rows by program below the process they ran under; with them the rows add
// up to the totals. No key acts upon them.

const TRAIL = 60;

export class Shorts {
  constructor() {
    this.known = new Map();
  }

  /** Rows like those of processes; their pid is below zero, the same from refresh to refresh. */
  rows(found, live = false) {
    return found.map((short) => {
      const program = short.program || "other programs";
      const key = `${short.parent || ""} ${program}`;
      if (!this.known.has(key)) this.known.set(key, { pid: -this.known.size - 1, trail: [] });
      const { pid, trail } = this.known.get(key);
      if (live && short.calls_s !== null) trail.push(short.calls_s);
      if (trail.length > TRAIL) trail.shift();
      return { ...short, pid, start_ticks: 0, ppid: short.parent ? short.parent[0] : 0, comm: program, cmdline: program, state: "", trail: live ? trail : [], brief_: true };
    });
  }
}

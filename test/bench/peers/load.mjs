// What the runners have in common: so many workflows in flight until the time is over, then to the end.
//
// The runner prints "ready" once it has warmed up, starts when a line arrives, prints what it has done as JSON,
// and stays until its standard input ends, so that whoever measures can look at its CPU.
import readline from 'node:readline';

export const STEPS = 10;
const [flight, seconds] = process.argv.slice(2).map(Number);

/** Runs start(), which gives a promise of one workflow's end, `flight` at a time; how many have ended. */
async function inFlight(start, duration) {
  const end = Date.now() + duration * 1000;
  let done = 0;
  await Promise.all(Array.from({ length: flight }, async () => {
    do {
      await start();
      done++;
    } while (Date.now() < end);
  }));
  return done;
}

export async function measure(start, stop) {
  const lines = readline.createInterface({ input: process.stdin });
  const next = lines[Symbol.asyncIterator]();
  await inFlight(start, Math.min(seconds / 4, 2));
  console.log('ready');
  await next.next();
  const workflows = await inFlight(start, seconds);
  console.log(JSON.stringify({ workflows }));
  await next.next();
  await stop();
  process.exit(0);
}

/** Workflows that are chains of jobs: begin(id) puts the first, whoever ends the last calls ended(id). */
export class Chains {
  constructor() {
    this.waiting = new Map();
    this.last = 0;
  }

  start(begin) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, resolve);
      begin(id).catch(reject);
    });
  }

  ended(id) {
    this.waiting.get(id)();
    this.waiting.delete(id);
  }
}

// graphile-worker: ten jobs, each of which puts the next.  It keeps no state of a workflow.
import { Logger, run } from 'graphile-worker';
import { Chains, measure, STEPS } from './load.mjs';

const chains = new Chains();
const runner = await run({
  connectionString: process.env.BENCH_URL,
  concurrency: 50,
  noHandleSignals: true,
  logger: new Logger(() => () => {}),
  taskList: {
    async step({ id, i, v }, helpers) {
      if (i < STEPS) await helpers.addJob('step', { id, i: i + 1, v: v + 1 });
      else chains.ended(id);
    },
  },
});
await measure(() => chains.start((id) => runner.addJob('step', { id, i: 1, v: 7 })), () => runner.stop());

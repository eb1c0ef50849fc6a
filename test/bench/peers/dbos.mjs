// DBOS: a workflow of ten steps, each of which is recorded.
import { DBOS } from '@dbos-inc/dbos-sdk';
import { measure, STEPS } from './load.mjs';

const workflow = DBOS.registerWorkflow(async (n) => {
  let v = n;
  for (let i = 1; i <= STEPS; i++) {
    v = await DBOS.runStep(async () => v + 1, { name: `t${i}` });
  }
  return v;
}, { name: 'seq10' });

DBOS.setConfig({ name: 'bench', systemDatabaseUrl: process.env.BENCH_URL, logLevel: 'error' });
await DBOS.launch();
await measure(async () => {
  const handle = await DBOS.startWorkflow(workflow)(7);
  await handle.getResult();
}, () => DBOS.shutdown());

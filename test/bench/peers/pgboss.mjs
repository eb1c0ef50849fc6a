// pg-boss: ten jobs, each of which puts the next.  It keeps no state of a workflow, and polls twice a second.
import PgBoss from 'pg-boss';
import { Chains, measure, STEPS } from './load.mjs';

const chains = new Chains();
const boss = new PgBoss(process.env.BENCH_URL);
boss.on('error', (e) => { throw e; });
await boss.start();
await boss.createQueue('step');
await boss.work('step', { batchSize: 50, pollingIntervalSeconds: 0.5 }, async (jobs) => {
  for (const { data: { id, i, v } } of jobs) {
    if (i < STEPS) await boss.send('step', { id, i: i + 1, v: v + 1 });
    else chains.ended(id);
  }
});
await measure(() => chains.start((id) => boss.send('step', { id, i: 1, v: 7 })), () => boss.stop({ graceful: false }));

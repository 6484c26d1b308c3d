// `npm test [-- --only=lint,ts]`: makes the machine ready and checks everything. `--help` lists the stages.
import { parseArgs } from 'node:util';
import { duration } from './lib/progress.mjs';
import { main, Unavailable } from './lib/report-failure.mjs';
import { setup } from './lib/setup.mjs';
import { Tally } from './lib/stage.mjs';
import { build } from './lib/stages/build.mjs';
import { examples } from './lib/stages/examples.mjs';
import { lint } from './lib/stages/lint.mjs';
import { nativeSuite } from './lib/stages/native.mjs';
import { rdma } from './lib/stages/rdma.mjs';
import { asan, tsan } from './lib/stages/sanitizers.mjs';
import { ts } from './lib/stages/ts.mjs';
import { types } from './lib/stages/types.mjs';
import { counts, summary } from './lib/summary.mjs';

/** In the order they run: what fails fastest comes first. */
const STAGES = {
  lint: { text: 'biome, clang-format, structure', needs: ['lint'], run: lint },
  types: { text: 'type check', needs: [], run: types },
  build: { text: 'the addon by cmake-js and by node-gyp', needs: ['gyp'], run: build },
  native: {
    text: 'native suite',
    needs: ['native tests'],
    run: (tally) => nativeSuite(tally, { folder: 'native' }),
  },
  asan: {
    text: 'native suite, address and undefined behaviour sanitizers',
    needs: ['native tests'],
    run: asan,
  },
  tsan: { text: 'native suite where threads meet, thread sanitizer', needs: ['native tests'], run: tsan },
  ts: { text: 'TypeScript suite', needs: [], run: ts },
  rdma: {
    text: 'verbs on soft-RoCE devices, in a virtual machine',
    needs: ['native tests', 'rdma vm'],
    run: rdma,
  },
  examples: { text: 'every example', needs: [], run: examples },
};

const OPTIONS = {
  only: { type: 'string' },
  'tsan-filter': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
};

const { values } = parseArgs({ options: OPTIONS });

if (values.help) {
  console.log('npm test [-- --only=STAGE,STAGE] [--tsan-filter=GTEST_FILTER]\n\nstages:');
  for (const [name, { text }] of Object.entries(STAGES)) console.log(`  ${name.padEnd(9)} ${text}`);
} else await main(test);

async function test() {
  const chosen = choose(values.only);
  await setup([...new Set(chosen.flatMap((name) => STAGES[name].needs))]);
  const done = [];
  for (const name of chosen) {
    const tally = new Tally();
    const started = performance.now();
    try {
      await STAGES[name].run(tally, { filter: values['tsan-filter'] });
    } catch (error) {
      tally.fail(error.stack);
    }
    const ms = performance.now() - started;
    done.push({ name, tally, ms });
    console.log(`${tally.failed > 0 ? 'FAILED' : 'ok    '} ${name}: ${counts(tally)} (${duration(ms)})`);
    for (const reason of tally.reasons) console.log(`       skipped: ${reason}`);
    for (const failure of tally.failures) console.error(`${name}: ${failure}`);
  }
  console.log(summary(done));
  if (done.some(({ tally }) => tally.failed > 0)) process.exitCode = 1;
}

function choose(only) {
  const names = Object.keys(STAGES);
  if (only === undefined) return names;
  const wanted = only.split(',').filter(Boolean);
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0 || wanted.length === 0)
    throw new Unavailable(`--only takes stages out of ${names.join(', ')}, but '${only}' was given`);
  return names.filter((name) => wanted.includes(name));
}

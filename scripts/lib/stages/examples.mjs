import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from '../addon.mjs';
import { run } from '../command.mjs';
import { inRoot } from '../paths.mjs';
import { buildPackage, buildPrograms } from '../typescript.mjs';

/** How each example is run here, and what it must print. One that is not listed runs as it is and must end well. */
const EXAMPLES = {
  quickstart: [{ args: [], prints: /^combined \[2,4\]: -1 -2 -3 -4 -5 -6 -7 -8$/m }],
  streaming: [{ args: [], prints: /combined 64 rows; their blocks start with -1 -2 -3 -4$/m }],
  'moe-engine': [
    [],
    ['--attention', '3', '--ffn', '2', '--transport', 'tcp', '--dispatch', 'fp8', '--mode', 'all'],
    ['--ep', '3', '--transport', 'tcp', '--dispatch', 'fp8', '--combine', 'sum'],
  ]
    .map((split) => ({ args: ['--tokens', '8', ...split], prints: /^tokens identical to one process: yes/m }))
    // Every split that is promised, over every transport, with every payload; a small model is split like a large one.
    .concat({
      args: ['--matrix', '--tokens', '4', '--config', 'examples/moe-engine/small.json'],
      prints: /1 x 4.*tcp.*fp8.*yes[\s\S]*ep 4.*tcp.*fp8.*yes/, // it ends badly when any split differs
    }),
};

export async function examples(tally) {
  const built = await tally.check('build', async () => {
    await buildAddon();
    await buildPackage();
    await buildPrograms();
  });
  const names = readdirSync(inRoot('examples')).filter((name) =>
    existsSync(inRoot('examples', name, 'main.ts')),
  );
  if (!built) return tally.skip('the examples were not built', names.length);
  for (const name of names) {
    for (const [i, { args, prints }] of (EXAMPLES[name] ?? [{ args: [], prints: /^/ }]).entries()) {
      await tally.check([name, ...args].join(' '), async () => {
        const program = inRoot(join('out/js/examples', name, 'main.js'));
        const log = `example-${name}${i === 0 ? '' : `-${i + 1}`}`;
        const { output } = await run(log, process.execPath, [program, ...args], { limitMinutes: 12 });
        if (!prints.test(output)) throw new Error(`printed nothing like ${prints}, but:\n${output}`);
      });
    }
  }
}

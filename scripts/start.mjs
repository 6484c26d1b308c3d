// `npm start [-- arguments]`: makes the machine ready, builds, and runs the example engine with the arguments.
import { spawn } from 'node:child_process';
import { build } from './build.mjs';
import { inRoot } from './lib/paths.mjs';
import { main } from './lib/report-failure.mjs';
import { setup } from './lib/setup.mjs';

await main(async () => {
  await setup();
  await build();
  const engine = inRoot('out/js/examples/moe-engine/main.js');
  const child = spawn(process.execPath, [engine, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal's ^C reaches the engine too, so nothing is done about SIGINT but to wait for its end.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...how) => resolve(how));
  });
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
});

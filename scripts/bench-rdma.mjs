// `npm run bench:rdma [-- --json]`: the library over verbs and UCX beside perftest and ucx_perftest, in one virtual machine
// and one run. The table, or with --json the figures, go to stdout; what is being done to stderr.
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { build } from './build.mjs';
import { missingPackages } from './lib/packages.mjs';
import { inRoot } from './lib/paths.mjs';
import { main, Unavailable } from './lib/report-failure.mjs';
import { setup } from './lib/setup.mjs';

const { values } = parseArgs({ options: { json: { type: 'boolean' } } });
const NEEDS = ['rdma vm', 'rdma figures'];

await main(async () => {
  await setup(NEEDS);
  const missing = missingPackages(NEEDS);
  if (missing.length > 0) throw new Unavailable(`not installed: ${missing.join(', ')}`);
  await build();
  const node = [process.execPath, inRoot('scripts/rdma-vm/figures.mjs')];
  process.stderr.write('weft: on this machine, over tcp\n');
  const here = await run([...node, 'tcp']);
  process.stderr.write('weft: in the virtual machine\n');
  const inside = await run([inRoot('scripts/rdma-vm/rdma-vm.sh'), ...node]);
  const report = { ...inside, figures: [...inside.figures, ...here.figures] };
  console.log(values.json ? JSON.stringify(report, undefined, 2) : text(report));
});

/** What a command says that measures. */
async function run([command, ...args]) {
  const env = { ...process.env, WEFT_VM_SECONDS: process.env.WEFT_VM_SECONDS ?? '1500' };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Unavailable(`${command} ended with status ${code}`);
  // UCX logs to stdout, too.
  const lines = Buffer.concat(chunks).toString().split('\n');
  return JSON.parse(lines.findLast((line) => line.startsWith('{')));
}

function text({ turns, figures, rounds }) {
  const range = ({ p50, min, max }) => `${p50} (${min}-${max})`;
  const table = new Table({
    head: ['', 'bytes', 'unit', 'tensorweft', 'tool', 'ratio'],
    style: { head: [] },
  });
  for (const { what, emulated, bytes, unit, p50, p99, ratio } of figures) {
    table.push([
      emulated ? what : `${what}, not emulated`,
      bytes,
      unit,
      range(p50.weft),
      range(p50.tool),
      ratio,
    ]);
    if (p99 !== undefined && what.startsWith('verbs'))
      table.push(['  p99', '', unit, range(p99.weft), range(p99.tool), '']);
  }
  const lines = rounds.map(
    ({ transport, shape, latencyUs, dispatch, reply }) =>
      `${transport}: ${shape.tokens} x ${shape.hidden} there and back p50 ${latencyUs.p50} us, p99 ${latencyUs.p99} us; ` +
      `per round ${dispatch.messages} message(s) in ${dispatch.requests} request(s), back ${reply.messages} in ${reply.requests}`,
  );
  return [`Medians of ${turns} turns, with the lowest and the highest.`, table.toString(), ...lines].join(
    '\n',
  );
}

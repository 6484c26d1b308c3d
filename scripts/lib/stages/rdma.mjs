import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from '../addon.mjs';
import { CommandFailed, run } from '../command.mjs';
import { hasUcx } from '../fabrics.mjs';
import { missingPackages } from '../packages.mjs';
import { inRoot, logs } from '../paths.mjs';
import { step } from '../progress.mjs';
import { Unavailable } from '../report-failure.mjs';
import { buildPackage, buildPrograms } from '../typescript.mjs';
import { builtSuite, countTests, gtestArgs } from './native.mjs';
import { countCases, PLAIN, vitest, vitestArgs } from './ts.mjs';

const VM = inRoot('scripts/rdma-vm/rdma-vm.sh');
/** An emulated processor is some ten times slower. */
const ENV = { WEFT_TEST_SLOWDOWN: '10', WEFT_VM_SHARE: logs, ...PLAIN };

/** UCX by reliable connections and datagrams. As it comes it hangs on soft-RoCE: its datagrams are refused by their GID. */
const UCX_RDMA = {
  UCX_TLS: 'rc,ud,self',
  UCX_NET_DEVICES: 'rxe0:1',
  UCX_UD_VERBS_ETH_DGID_CHECK: 'n',
  WEFT_TEST_SLOWDOWN: '40',
};
/** Two processors are too few for the polling of UCX in four processes, and its datagrams are slow to connect. */
const UCX_SUITES = '*Rounds.*/ucx_1x1_*:*LifeCycle*/ucx:*Overlap*/ucx:*Streamed*/ucx:*Limits*/ucx';

/** What only a machine with RDMA devices can show: the suites over verbs, and one run of the engine. */
export async function rdma(tally) {
  const missing = missingPackages(['rdma vm']);
  if (missing.length > 0) return tally.skip(`no virtual machine: ${missing.join(', ')} not installed`);
  if (!(await tally.check('a machine with RDMA devices', boots))) return;
  await natively(tally, 'verbs', '*verbs*:Verbs*');
  const ucx = hasUcx(tally, 'ucx over rc and ud');
  if (ucx) await natively(tally, 'ucx', UCX_SUITES, UCX_RDMA);
  const built = await tally.check('build', async () => {
    await buildAddon();
    await buildPackage();
    await buildPrograms();
  });
  if (!built) return;
  await conformance(tally, 'verbs');
  await engine(tally, 'verbs');
  if (ucx) await engine(tally, 'ucx', UCX_RDMA);
}

/** Runs a command in the machine, with a log of its own. */
function inVm(name, seconds, command, env = {}) {
  const options = {
    env: { ...ENV, ...env, WEFT_VM_SECONDS: String(seconds) },
    limitMinutes: seconds / 60 + 2,
  };
  return step(`in the virtual machine: ${name}`, () => run(`rdma-${name}`, VM, command, options));
}

/** Where QEMU does not run, or the kernel can't be fetched, the stage is left out; the reason is what the script says. */
async function boots() {
  mkdirSync(logs, { recursive: true });
  try {
    await inVm('boot', 120, ['ls', '/sys/class/infiniband/rxe0', '/sys/class/infiniband/rxe1']);
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    throw new Unavailable(error.output.trim().split('\n').slice(-3).join(' / '));
  }
}

async function natively(tally, fabrics, filter, env = {}) {
  const program = await builtSuite(tally, 'native');
  if (program === undefined) return;
  const report = join(logs, `rdma-native-${fabrics}.json`);
  rmSync(report, { force: true });
  const command = [program, ...gtestArgs(report, filter)];
  const all = { WEFT_TEST_FABRICS: fabrics, ...env };
  const failure = await inVm(`native-${fabrics}`, 600, command, all).catch(failed);
  countTests(tally, report, failure instanceof CommandFailed ? failure : undefined);
}

async function conformance(tally, fabric) {
  const report = join(logs, `rdma-conformance-${fabric}.json`);
  rmSync(report, { force: true });
  // And what is captured on the wire.
  const files = ['test/conformance/afd.test.ts', 'test/fabrics'];
  const what = [...files, '-t', `^${fabric} |two RDMA devices`, '--testTimeout=120000'];
  const command = [process.execPath, vitest, ...vitestArgs(report), ...what];
  const failure = await inVm(`conformance-${fabric}`, 900, command, { WEFT_TEST_FABRICS: fabric }).catch(
    failed,
  );
  countCases(tally, report, failure instanceof CommandFailed ? failure : undefined, { left: true });
}

async function engine(tally, fabric, env = {}) {
  const program = inRoot('out/js/examples/moe-engine/main.js');
  const config = ['--config', 'examples/moe-engine/small.json', '--tokens', '4', '--transport', fabric];
  await tally.check(`moe-engine over ${fabric}`, async () => {
    const { output } = await inVm(`engine-${fabric}`, 300, [process.execPath, program, ...config], env);
    if (!/^tokens identical to one process: yes/m.test(output)) throw new Error(`printed:\n${output}`);
  });
}

function failed(error) {
  if (error instanceof CommandFailed) return error;
  throw error;
}

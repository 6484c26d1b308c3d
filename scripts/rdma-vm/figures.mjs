// Measures the library beside the tools that come with the fabrics, in turns, and prints one JSON object. Latencies are one
// way, in microseconds; bandwidths in 1e9 bytes a second. scripts/bench-rdma.mjs runs it: in the machine of rdma-vm.sh, and,
// with the argument `tcp`, outside of it for what needs no RDMA device.
import { spawn } from 'node:child_process';
import { Crew } from '../../dist/bench/crew.js';
import { latencyOf, round } from '../../dist/bench/statistics.js';
import { AFD_PRESETS, pingPongShape } from '../../dist/bench/workload.js';

const TURNS = Number(process.env.WEFT_BENCH_TURNS ?? 5);
const DEVICE = 'rxe0';
const MIB = 1 << 20;
const EMULATED = process.argv[2] !== 'tcp';
/** In a turn of measuring latency; of 1 MiB, in a turn of measuring bandwidth. */
const ROUNDS = EMULATED ? 2000 : 20_000;
const PAGES = EMULATED ? 120 : 1000;
/** So many are under way. */
const DEPTH = 4;
const RDMA = ['-d', DEVICE, '-x', '1', '-F'];
const PORT = 18_515;
/** UCX's own choice on soft-RoCE hangs: its datagrams are refused by their address. */
const UCX_RDMA = { UCX_TLS: 'rc,ud,self', UCX_NET_DEVICES: `${DEVICE}:1`, UCX_UD_VERBS_ETH_DGID_CHECK: 'n' };
const UCX_TCP = { UCX_TLS: 'tcp,self', UCX_NET_DEVICES: 'lo' };

/** Both ends of a measuring tool; the output of the one that connects. */
async function tool(name, args, env = {}) {
  const options = {
    env: { ...process.env, UCX_WARN_UNUSED_ENV_VARS: 'n', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  };
  const server = spawn(name, [...args, '-p', String(PORT)], options);
  const gone = new Promise((resolve) => server.once('close', resolve));
  server.stdout.resume();
  server.stderr.resume();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const client = spawn(name, [...args, '-p', String(PORT), '127.0.0.1'], options);
  const chunks = [];
  for (const stream of [client.stdout, client.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  const code = await new Promise((resolve) => client.once('close', resolve));
  const timer = setTimeout(() => server.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
  const text = Buffer.concat(chunks).toString();
  if (code !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${code}:\n${text}`);
  return text;
}

/** The last line of numbers. */
function numbers(text) {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const found = lines.filter((line) => line.length > 3 && line.every((n) => !Number.isNaN(n))).at(-1);
  if (found === undefined) throw new Error(`no figures in:\n${text}`);
  return found;
}

/** perftest: #bytes #iterations t_min t_max t_typical t_avg t_stdev 99% 99.9% */
async function perftestLatency(name) {
  const line = numbers(await tool(name, [...RDMA, '-s', '8', '-n', String(ROUNDS)]));
  return { p50: line[4], p99: line[7] };
}
/** perftest: #bytes #iterations peak average message rate, in Gb/s */
async function writeBandwidth(bytes, iterations) {
  const args = [...RDMA, '-s', String(bytes), '-n', String(iterations), '--report_gbits'];
  return numbers(await tool('ib_write_bw', args))[3] / 8;
}
/** ucx_perftest -f: iterations, median overhead, average and overall latency (us), bandwidths (MiB/s), rates. */
async function ucxFigures(test, bytes, iterations, env, flags) {
  const count = ['-n', String(iterations), '-w', '50'];
  const args = ['-t', test, '-s', String(bytes), ...count, '-f', '-D', 'contig', ...flags];
  const text = await tool('ucx_perftest', args, env);
  const line = text.split('\n').findLast((one) => one.startsWith('Final:') || /^\s+\d+\s+[\d.]+/.test(one));
  const values = line.replace('Final:', '').trim().split(/\s+/).map(Number);
  return { median: values[1], mean: values[2], gbPerS: (values[5] * MIB) / 1e9 };
}

/** Runs `work` for every contender, TURNS times, in an order that rotates. */
async function inTurns(contenders) {
  const all = contenders.map(() => []);
  for (let turn = 0; turn < TURNS; turn++)
    for (let i = 0; i < contenders.length; i++) {
      const at = (i + turn) % contenders.length;
      all[at].push(await contenders[at]());
    }
  return all;
}

const middle = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
const spread = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  return { p50: round(middle(values)), min: round(sorted[0]), max: round(sorted.at(-1)) };
};
const note = (text) => process.stderr.write(`weft: ${text}\n`);

/** The ranks inherit the environment. */
async function withCrew(shape, transport, env, work) {
  Object.assign(process.env, env);
  const crew = await Crew.start(shape, transport, {});
  try {
    return await work(crew);
  } finally {
    await crew[Symbol.asyncDispose]();
  }
}

async function latency(title, transport, env, theirs) {
  note(`${title}: latency of 8 bytes`);
  const [weft, tool] = await withCrew(pingPongShape(8), transport, env, async (crew) => {
    // An emulated processor translates code when it first comes by.
    await crew.run('native', 10_000);
    const ours = async () => {
      const { samples, wrong } = await crew.run('native', ROUNDS);
      if (wrong > 0) throw new Error(`${wrong} wrong bytes`);
      return latencyOf(samples, 0.5);
    };
    return inTurns([ours, theirs]);
  });
  const p50 = { weft: spread(weft.map((one) => one.p50)), tool: spread(tool.map((one) => one.p50)) };
  const p99 = { weft: spread(weft.map((one) => one.p99)), tool: spread(tool.map((one) => one.p99)) };
  return {
    what: title,
    emulated: EMULATED,
    bytes: 8,
    unit: 'us',
    p50,
    p99,
    ratio: round(p50.weft.p50 / p50.tool.p50),
  };
}

async function bandwidth(title, transport, env, theirs) {
  note(`${title}: bandwidth of 1 MiB`);
  const [weft, tool] = await withCrew(
    { ...pingPongShape(MIB), depth: DEPTH },
    transport,
    env,
    async (crew) => {
      await crew.run('one-way', 16);
      const ours = async () => {
        const { samples, wrong } = await crew.run('one-way', PAGES);
        if (wrong > 0) throw new Error(`${wrong} wrong pages`);
        return (PAGES * MIB) / samples.reduce((sum, ns) => sum + ns, 0);
      };
      return inTurns([ours, theirs]);
    },
  );
  const p50 = { weft: spread(weft), tool: spread(tool) };
  return {
    what: title,
    emulated: EMULATED,
    bytes: MIB,
    unit: 'GB/s',
    p50,
    ratio: round(p50.weft.p50 / p50.tool.p50),
  };
}

async function afd(transport, env) {
  note(`attention-FFN rounds over ${transport}`);
  const shape = { ...AFD_PRESETS['stepmesh-t4'], attention: 1, ffn: 1 };
  const rounds = 100;
  const { samples, wrong, sent } = await withCrew(shape, transport, env, async (crew) => {
    await crew.run('native', 20);
    return crew.run('native', rounds);
  });
  const perRound = sent.map(([messages, requests, bytes]) => ({
    messages: messages / rounds,
    requests: requests / rounds,
    bytes: bytes / rounds,
  }));
  return {
    transport,
    shape,
    latencyUs: latencyOf(samples),
    wrong,
    dispatch: perRound[0],
    reply: perRound[1],
  };
}

const ucxLatency =
  (env, ...flags) =>
  async () => {
    const { median, mean } = await ucxFigures('ucp_am_lat', 8, ROUNDS, env, flags);
    return { p50: median || mean, p99: mean };
  };
const ucxBandwidth =
  (env, mib, ...flags) =>
  async () =>
    (await ucxFigures('ucp_am_bw', mib * MIB, PAGES / mib, env, flags)).gbPerS;

const tcp = [
  await latency('ucx over tcp beside ucx_perftest am_lat', 'ucx', UCX_TCP, ucxLatency(UCX_TCP)),
  await bandwidth('ucx over tcp beside ucx_perftest am_bw', 'ucx', UCX_TCP, ucxBandwidth(UCX_TCP, 1)),
  // With endpoints that tell when the peer fails, as ours must: over tcp, UCX writes to the peer's memory only without.
  await bandwidth(
    'ucx over tcp beside ucx_perftest -e am_bw',
    'ucx',
    UCX_TCP,
    ucxBandwidth(UCX_TCP, 1, '-e'),
  ),
  // Which sends one buffer again and again, so from the cache; ours go through as many as are under way.
  await bandwidth(
    'ucx over tcp beside ucx_perftest am_bw of 4 MiB',
    'ucx',
    UCX_TCP,
    ucxBandwidth(UCX_TCP, DEPTH),
  ),
];
const rdma = EMULATED
  ? [
      await latency('verbs beside ib_write_lat', 'verbs', {}, () => perftestLatency('ib_write_lat')),
      // Told of by its completion, as every round must be, and not by a byte in memory.
      await latency('verbs beside ib_send_lat', 'verbs', {}, () => perftestLatency('ib_send_lat')),
      await bandwidth('verbs beside ib_write_bw', 'verbs', {}, () => writeBandwidth(MIB, PAGES)),
      await latency('ucx over rc beside ucx_perftest am_lat', 'ucx', UCX_RDMA, ucxLatency(UCX_RDMA)),
      await bandwidth('ucx over rc beside ucx_perftest am_bw', 'ucx', UCX_RDMA, ucxBandwidth(UCX_RDMA, 1)),
    ]
  : [];
const rounds = EMULATED
  ? [await afd('verbs', {}), await afd('ucx', UCX_TCP), await afd('ucx', UCX_RDMA)]
  : [];
console.log(JSON.stringify({ turns: TURNS, figures: [...rdma, ...tcp], rounds }));
process.exit(0);

/** Program of one benchmark rank: does what its parent says, over IPC. */
import { joinMesh } from '../mesh/join.js';
import type { Mesh } from '../mesh/mesh.js';
import { type NativeSockets, native } from '../native.js';
import { SHARED_FD, serveCommands } from './processes.js';
import type { Answer, Command, Contender, RankStart } from './protocol.js';
import { attentionRounds, ffnRounds, promisedAttentionRounds, promisedFfnRounds } from './rounds.js';
import { layoutOf, nativeWorkload } from './workload.js';

const { bench } = native;
let start: RankStart;
let mesh: Mesh;
let sockets: NativeSockets | undefined;

async function obey(command: Command): Promise<Answer> {
  switch (command.do) {
    case 'join':
      start = command.start;
      mesh = await joinMesh({
        coordinator: start.coordinator,
        token: start.token,
        role: start.isAttention ? 'attention' : 'ffn',
        rank: start.rank,
        layout: layoutOf(start.shape),
        transports: [start.transport],
        wait: start.wait,
        deadlineMs: 30_000,
      });
      return { pinned: start.core !== undefined && bench.pin(start.core) };
    case 'listen': {
      const listening = bench.listen();
      sockets = listening?.[0];
      return { port: listening?.[1] ?? 0 };
    }
    case 'connect':
      sockets = bench.connect(undefined, command.ports);
      return {};
    case 'accept':
      bench.accept(sockets!, start.shape.attention);
      return {};
    case 'run':
      return run(command.contender, command.iterations, command.base);
    case 'leave':
      await mesh.close();
      return {};
  }
}

async function run(contender: Contender, iterations: number, base: number): Promise<Answer> {
  const { isAttention, rank, crowded, shape } = start;
  const samples = new Float64Array(isAttention ? iterations : 0);
  const work = nativeWorkload(shape, contender.startsWith('streamed-') ? Number(contender.slice(9)) : 1);
  const many = isAttention ? samples : iterations;
  bench.use(work);
  const before = sent();
  let wrong = 0;
  switch (contender) {
    case 'memory':
      wrong = bench.floor(work, SHARED_FD, isAttention, rank, base, many, crowded);
      break;
    case 'sockets':
      wrong = bench.sockets(work, sockets!, isAttention, rank, base, many, !crowded);
      break;
    case 'typescript':
      if (isAttention) wrong = attentionRounds(mesh, shape.depth, samples);
      else ffnRounds(mesh, iterations);
      break;
    case 'one-way': {
      let code: number;
      if (isAttention) code = bench.streamAttention(work, mesh.attention.native, samples);
      else [code, wrong] = bench.streamFfn(work, mesh.ffn.native, iterations);
      if (code !== 0) throw new Error(`the native round failed with code ${code}`);
      break;
    }
    case 'promises':
      if (isAttention) wrong = await promisedAttentionRounds(mesh, shape.depth, samples);
      else await promisedFfnRounds(mesh, iterations);
      break;
    default: {
      let code: number;
      if (isAttention) {
        const out = shape.dispatch === 'bytes' ? 0 : mesh.attention.outputOf(1).data.byteOffset;
        [code, wrong] = bench.attention(work, mesh.attention.native, samples, out);
      } else {
        code = bench.ffn(work, mesh.ffn.native, iterations);
      }
      if (code !== 0) throw new Error(`the native round failed with code ${code}`);
    }
  }
  const after = sent();
  return { samples, wrong, sent: [after[0] - before[0], after[1] - before[1], after[2] - before[2]] };
}

/** To all peers, over transports that count. */
function sent(): [messages: number, requests: number, bytes: number] {
  const total: [number, number, number] = [0, 0, 0];
  for (const { messages, requests, bytes } of mesh.traffic()) {
    total[0] += messages;
    total[1] += requests;
    total[2] += bytes;
  }
  return total;
}

serveCommands(obey, () => (start?.isAttention ? 'attention' : 'ffn'));

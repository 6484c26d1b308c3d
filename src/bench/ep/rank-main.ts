/** Program of one rank of an expert-parallel benchmark: does what its parent says, over IPC. */
import { joinMesh } from '../../mesh/join.js';
import type { Mesh } from '../../mesh/mesh.js';
import { type NativeSockets, native } from '../../native.js';
import { SHARED_FD, serveCommands } from '../processes.js';
import type { EpAnswer, EpCommand, EpContender, EpStart } from './protocol.js';
import { epLayout, nativeEpWork } from './shape.js';

const { bench } = native;
let start: EpStart;
let mesh: Mesh;
let sockets: NativeSockets | undefined;

async function obey(command: EpCommand): Promise<EpAnswer> {
  switch (command.do) {
    case 'join': {
      start = command.start;
      const { coordinator, token, rank, shape, transport, wait, core } = start;
      const where = { coordinator, token, role: 'ep', rank, layout: epLayout(shape) } as const;
      mesh = await joinMesh({ ...where, transports: [transport], wait, deadlineMs: 30_000 });
      return { pinned: core !== undefined && bench.pin(core) };
    }
    case 'listen': {
      const listening = bench.listen();
      sockets = listening?.[0];
      return { port: listening?.[1] ?? 0 };
    }
    case 'connect':
      sockets = bench.connect(sockets, command.ports);
      return {};
    case 'accept':
      bench.accept(sockets!, 1);
      return {};
    case 'run':
      return run(command.contender, command.iterations, command.base);
    case 'leave':
      await mesh.close();
      return {};
  }
}

function run(contender: EpContender, iterations: number, base: number): EpAnswer {
  const { shape, rank, crowded } = start;
  const [dispatch, combine] = [new Float64Array(iterations), new Float64Array(iterations)];
  const { attention, ffn } = mesh.ep.native;
  const before = sent();
  const [code, wrong, rowsAway, choicesAway] = bench.ep(
    {
      work: nativeEpWork(shape),
      contender,
      rank,
      base,
      fd: SHARED_FD,
      yields: crowded,
      sockets,
      attention,
      ffn,
    },
    dispatch,
    combine,
  );
  if (code !== 0) throw new Error(`${contender} failed with code ${code}`);
  const sentBytes = sent() - before;
  return { dispatch, combine, wrong, rowsAway, choicesAway, sentBytes, memoryBytes: mesh.memoryBytes() };
}

function sent(): number {
  return mesh.traffic().reduce((sum, { bytes }) => sum + bytes, 0);
}

serveCommands(obey, () => `rank ${start?.rank}`);

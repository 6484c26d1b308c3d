/** What goes over the wire between two RDMA devices, captured: rounds are RDMA writes, and nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinMesh, type Mesh, startCoordinator } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { Opcode, type RocePacket, rocePackets } from '../support/roce.js';
import { fabrics } from '../support/transports.js';

const NEAR = { host: '10.77.0.1', device: 'rxe0' };
const FAR = { host: '10.77.0.2', device: 'rxe1' };
const ROUNDS = 20;
const layout = { hidden: 2048, maxTokens: 16, depth: 3 };

const counter = (device: string, name: string): number =>
  Number(readFileSync(`/sys/class/infiniband/${device}/ports/1/hw_counters/${name}`, 'utf8'));

/** What is captured on `wire0` while `work` runs. */
async function captured(work: () => Promise<void>): Promise<RocePacket[]> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-capture-'));
  const file = join(folder, 'wire.pcap');
  // Headers only: whole packets fill its buffer before a busy machine has written them.
  const how = ['-i', 'wire0', '-U', '-B', '16384', '-s', '128', '-w', file];
  const tcpdump = spawn('tcpdump', [...how, 'udp', 'port', '4791'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const exited = once(tcpdump, 'exit');
  try {
    const listening = new Promise<void>((resolve) => {
      tcpdump.stderr.on('data', (chunk) => {
        said += chunk;
        if (said.includes('listening on')) resolve();
      });
    });
    await Promise.race([listening, exited]);
    await work();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    tcpdump.kill('SIGINT');
    await exited;
    expect(said, 'the capture is whole').toMatch(/^0 packets dropped by kernel/m);
    return rocePackets(readFileSync(file));
  } finally {
    tcpdump.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
}

async function rounds(attention: Mesh, ffn: Mesh): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) {
    const slot = attention.attention.claim({ tokens: layout.maxTokens });
    slot.hidden.fill(0x3f80 + i);
    const round = slot.dispatch();
    for (const part of (await ffn.ffn.next())!.parts) {
      part.output.set(part.hidden as Uint16Array);
      part.reply();
    }
    const { data } = await round.combine();
    expect(data.every((value) => value === 0x3f80 + i)).toBe(true);
  }
}

describe.skipIf(!fabrics.includes('verbs'))('rounds between two RDMA devices', () => {
  it('are RoCE v2 writes, the last of each with an immediate', { timeout: 120_000 }, async () => {
    await using coordinator = await startCoordinator({ attention: 1, ffn: 1 });
    const { url, token } = coordinator;
    const member = (role: 'attention' | 'ffn', host: string): Promise<Mesh> =>
      joinMesh({ coordinator: url, token, role, layout, host, transports: ['verbs'], deadlineMs: 60_000 });
    const [attention, ffn] = await Promise.all([member('attention', NEAR.host), member('ffn', FAR.host)]);
    expect(attention.explain()[0]!.path).toMatch(
      /^rxe0 port 1, GID 1 ::ffff:10\.77\.0\.1 .* to ::ffff:10\.77\.0\.2/,
    );
    const before = counter(NEAR.device, 'sent_pkts');
    const packets = await captured(() => rounds(attention, ffn));
    const sent = counter(NEAR.device, 'sent_pkts') - before;

    for (const [mesh, from, to] of [
      [attention, NEAR.host, FAR.host],
      [ffn, FAR.host, NEAR.host],
    ] as const) {
      const way = packets.filter((packet) => packet.from === from && packet.to === to);
      const told = way.filter(({ immediate }) => immediate !== undefined);
      const [traffic] = mesh.traffic();
      // One message, with one immediate, for each round, as the library, the wire and the peer count.
      expect(traffic).toMatchObject({ messages: ROUNDS, arrivals: ROUNDS });
      expect(told).toHaveLength(ROUNDS);
      // Which slot, and that all rows are final.
      expect(told.map(({ immediate }) => immediate)).toEqual(
        told.map((_, i) => (((i + 1) % layout.depth) << 20) | layout.maxTokens),
      );
      expect(new Set(told.map(({ queuePair }) => queuePair)).size).toBe(1);
      const others = way.filter(
        ({ opcode }) => opcode !== Opcode.acknowledge && opcode > Opcode.writeOnlyWithImmediate,
      );
      expect(others).toEqual([]);
      const rows = ROUNDS * layout.maxTokens * layout.hidden * 2;
      expect(way.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(rows);
      expect(traffic!.bytes).toBeGreaterThanOrEqual(rows);
    }
    expect(packets.filter(({ from }) => from === NEAR.host)).toHaveLength(sent);
    await Promise.all([attention.close(), ffn.close()]);
  });
});

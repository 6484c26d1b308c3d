/** A mesh over two hosts, which are network namespaces here: attention on one, FFN on the other. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AT_ONCE_MS, failure } from '../support/failures.js';
import { type Host, type Hosts, makeHosts, noHosts } from '../support/hosts.js';
import { join, Member, type Site } from '../support/member.js';
import { fabrics } from '../support/transports.js';

const scenario: workload.Scenario = {
  attention: 2,
  ffn: 2,
  rounds: 20,
  layout: { hidden: 2048, maxTokens: 16, depth: 3 },
};
const COORDINATOR = new URL('../../dist/cli/main.js', import.meta.url).pathname;

/** What connects the hosts. */
const ways: { way: string; transport: TransportName; env: Record<string, string>; path?: RegExp }[] = [
  { way: 'tcp', transport: 'tcp', env: {} },
  ...(fabrics.includes('ucx')
    ? ([
        {
          way: 'ucx by sockets',
          transport: 'ucx',
          env: { UCX_TLS: 'tcp,self' },
          path: /tcp\/weft(near|far)/,
        },
        // To UCX, hosts are what has a kernel of its own.
        { way: 'ucx by shared memory', transport: 'ucx', env: {}, path: /sysv|posix/ },
      ] as const)
    : []),
];

const reason = noHosts();
describe.skipIf(reason !== undefined)(`two hosts${reason ? ` (there can be none: ${reason})` : ''}`, () => {
  let hosts: Hosts;
  let processes: (Member | ChildProcess)[] = [];
  beforeEach(() => {
    hosts = makeHosts();
  });
  afterEach(async () => {
    for (const one of processes)
      if (one instanceof Member) await one.end();
      else one.kill();
    processes = [];
    hosts[Symbol.dispose]();
  });

  /** `weft coordinator` on a host. */
  async function coordinate({ enter: [command, ...args], address }: Host): Promise<Site['coordinator']> {
    const size = ['--attention', String(scenario.attention), '--ffn', String(scenario.ffn)];
    const weft = [process.execPath, COORDINATOR, 'coordinator', ...size, '--host', address, '--json'];
    const child = spawn(command, [...args, ...weft], { stdio: ['ignore', 'pipe', 'ignore'] });
    processes.push(child);
    let text = '';
    for await (const line of createInterface(child.stdout)) {
      text += line;
      if (line === '}') return JSON.parse(text) as Site['coordinator'];
    }
    throw new Error(`the coordinator ended: ${text}`);
  }

  async function open(transport: TransportName, env: Record<string, string>, deadlineMs = 20_000) {
    const site = { coordinator: await coordinate(hosts.near), scenario, transport, deadlineMs };
    const on = (host: Host, role: 'attention' | 'ffn') =>
      [0, 1].map((rank) => {
        const member = new Member(`${role} ${rank}`, { enter: host.enter, env });
        processes.push(member);
        return { member, joined: join(member, site, role, rank, host.address) };
      });
    const members = { attention: on(hosts.near, 'attention'), ffn: on(hosts.far, 'ffn') };
    const joined = await Promise.all([...members.attention, ...members.ffn].map((one) => one.joined));
    return {
      attention: members.attention.map(({ member }) => member),
      ffn: members.ffn.map(({ member }) => member),
      paths: joined.flatMap(({ peers }) => peers.map(({ path }) => path)),
    };
  }

  describe.each(ways)('over $way', ({ transport, env, path }) => {
    it('exchange rounds, every byte of them checked', async () => {
      const { attention, ffn, paths } = await open(transport, env);
      if (path !== undefined) for (const one of paths) expect(one).toMatch(path);
      const serving = ffn.map((member) => member.tell('drive', { streamed: true, block: 4 }));
      await Promise.all(attention.map((member) => member.tell('drive', { inFlight: 3 })));
      await Promise.all(attention.map((member) => member.tell('close')));
      expect(await Promise.all(serving)).toEqual([40, 40]);
    });

    it('notice a process that is killed on the other one', async () => {
      const { attention, ffn } = await open(transport, env);
      const [ours, other] = attention;
      await ours!.tell('dispatch', 1);
      const combine = ours!.tell('combine', { generation: 1 });
      const since = ffn[1]!.signal('SIGKILL');
      await failure(combine, { code: 'WEFT_PEER_LOST', peer: 'ffn 1', since, withinMs: AT_ONCE_MS });
      expect(other!.isGone).toBe(false);
    });

    it('keep their deadlines when the wire is unplugged', async () => {
      const { attention } = await open(transport, env);
      hosts.unplug();
      await attention[0]!.tell('dispatch', 1);
      const since = Date.now();
      const combine = attention[0]!.tell('combine', { generation: 1, deadlineMs: 1000 });
      await failure(combine, { code: 'WEFT_DEADLINE', since, afterMs: 1000, withinMs: 3000 });
    });
  });
});

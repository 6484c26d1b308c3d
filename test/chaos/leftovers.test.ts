/** What is left when a mesh or a process has ended: nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { useClusters } from '../support/cluster.js';
import { program } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const { open } = useClusters();

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
  ms: number;
}

async function run(...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (text: Buffer) => {
    out += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    err += text;
  });
  const start = performance.now();
  const late = setTimeout(() => child.kill('SIGKILL'), 25_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(late);
  return { code, signal, out, err, ms: performance.now() - start };
}

describe.each(betweenProcesses)('over %s', (transport) => {
  it('a process ends by itself after close(), which ended the waits under way', async () => {
    const { code, signal, out, err } = await run(program('life'), transport, 'close');
    expect({ code, signal, err }).toEqual({ code: 0, signal: null, err: '' });
    const { waits, active } = JSON.parse(out) as { waits: string[]; active: string[] };
    expect(['WEFT_CLOSED', 'done']).toContain(waits[0]);
    expect(active.filter((name) => /TCP|Timeout|Pipe.*Server|ThreadSafe/.test(name))).toEqual([]);
  });

  it('50 times joined and closed: no descriptor and no memory is left', async () => {
    const { code, out, err } = await run('--expose-gc', program('life'), transport, 'cycles');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { before, after } = JSON.parse(out) as Record<'before' | 'after', { files: number; rss: number }>;
    expect(after.files - before.files, 'descriptors').toBeLessThanOrEqual(4);
    expect((after.rss - before.rss) / 1e6, 'MB').toBeLessThan(25);
  }, 60_000);

  it('a process may exit, or die of an exception, in the middle of its waits', async () => {
    const [exited, thrown] = await Promise.all(
      ['exit', 'throw'].map((ending) => run(program('life'), transport, ending)),
    );
    expect(exited).toMatchObject({ code: 7, signal: null, err: '' });
    expect(thrown).toMatchObject({ code: 1, signal: null });
    expect(thrown!.err).toContain('on purpose');
  });

  it('a process may exit while a worker of it blocks in a wait without an end', async () => {
    expect(await run(program('blocked'), transport)).toMatchObject({ code: 9, signal: null, err: '' });
  });

  it('killed processes leave no file, no zombie and no orphan', async () => {
    const shm = readdirSync('/dev/shm').sort();
    const scenario = { attention: 2, ffn: 1, rounds: 500, layout: { hidden: 64, maxTokens: 8 } };
    const cluster = await open(scenario, transport);
    const driving = cluster.members.map((member) => member.tell('drive', { onPeerLoss: 'skip' as const }));
    await sleep(50);
    for (const member of cluster.members) member.signal('SIGKILL');
    await Promise.allSettled(driving);
    await Promise.all(cluster.members.map((member) => member.exited));
    for (const { pid } of cluster.members) expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(readdirSync('/dev/shm').sort()).toEqual(shm);
    expect(children()).not.toContain('Z');
  });
});

/** States of this process's children. */
function children(): string[] {
  const pids = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  return pids.filter((pid) => pid !== '').map((pid) => stateOf(pid) ?? 'gone');
}

function stateOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0];
  } catch {
    return undefined;
  }
}

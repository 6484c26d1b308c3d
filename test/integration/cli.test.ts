import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinMesh } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { hasOpenssl, selfSigned } from '../support/certificate.js';
import { type Ended, ended, start, weft } from './weft.js';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

describe('weft', () => {
  it('prints help and version', async () => {
    const help = await weft(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['info', 'doctor', 'coordinator', 'eplb', 'bench'])
      expect(help.stdout).toContain(command);
    expect((await weft(['--version'])).stdout.trim()).toBe(version);
  });

  it('prints help of bench with its workloads', async () => {
    const { code, stdout } = await weft(['bench', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}afd .*\n(?:.*\n)*? {2}pp /m);
  });

  it('refuses what it does not know, on stderr', async () => {
    const { code, stdout, stderr } = await weft(['nonsense']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain("unknown command 'nonsense'");
  });

  it('places experts, and moves few of them later', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-eplb-'));
    const [loads, later, plan] = ['loads.csv', 'later.json', 'plan.json'].map((name) => join(folder, name));
    try {
      writeFileSync(
        loads!,
        '90,132,40,61,104,165,39,4,73,56,183,86\n20,107,104,64,19,197,187,157,172,86,16,27\n',
      );
      writeFileSync(
        later!,
        '[[290,32,40,61,104,165,39,4,73,56,183,86],[20,107,104,64,19,197,187,157,172,86,16,27]]',
      );
      const size = ['--gpus', '8', '--nodes', '2', '--groups', '4', '--replicas', '16'];
      const made = await weft(['eplb', loads!, ...size, '--json']);
      expect(made).toMatchObject({ code: 0, stderr: '' });
      const { layers } = JSON.parse(made.stdout) as { layers: { slots: number[][] }[] };
      expect(layers[0]!.slots.flat()).toEqual([5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1]);
      const drawn = await weft(['eplb', loads!, ...size]);
      expect(drawn.stdout).toMatch(/layer 1\n.*mean 145/);
      writeFileSync(plan!, made.stdout);
      const moved = await weft(['eplb', later!, '--from', plan!, '--target', '1.35', '--json']);
      const [first, second] = (JSON.parse(moved.stdout) as { layers: Record<string, unknown>[] }).layers;
      expect(first!.gpuMaxOverMeanBefore).toBeGreaterThan(2);
      expect(first!.gpuMaxOverMean).toBeLessThanOrEqual(1.35);
      expect((first!.migrations as unknown[]).length).toBeLessThan(8);
      expect(second!.migrations).toEqual([]);
      expect(JSON.parse(moved.stdout)).toMatchObject({ nodes: 2, groups: 4, gpus: 8 });
      expect((await weft(['eplb', later!, '--from', plan!, '--gpus', '8'])).stderr).toContain('--gpus');
      const { code, stdout, stderr } = await weft(['eplb', loads!]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('--gpus');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('works without an addon as far as it can', async () => {
    // Every place where the library looks for it is below the package, so a copy of dist alone has none.
    const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'));
    try {
      cpSync('dist', join(folder, 'dist'), { recursive: true });
      cpSync('package.json', join(folder, 'package.json'));
      symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
      const run = (...args: string[]): Promise<Ended> =>
        ended(spawn(process.execPath, [join(folder, 'dist/cli/main.js'), ...args]));
      expect((await run('--help')).code).toBe(0);
      const info = await run('info', '--json');
      expect(info.code).toBe(1);
      expect(JSON.parse(info.stdout)).toMatchObject({
        addon: { error: expect.stringContaining('npm run build') },
      });
      const doctor = await run('doctor');
      expect(doctor.code).toBe(1);
      expect(doctor.stdout).toMatch(
        /^fail {2}addon .*\n +fix: npm run build\nwarn {2}mesh over loopback +not tried/m,
      );
      const bench = await run('bench', 'pp');
      expect(bench.code).toBe(1);
      expect(bench.stderr).toMatch(/^weft: WEFT_UNAVAILABLE: .*hint: .*\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('weft info', () => {
  it('prints facts for people, without colours when not on a terminal', async () => {
    const { code, stdout, stderr } = await weft(['info']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^tensorweft +\d/);
    expect(stdout).toMatch(/^shm +yes +read in place/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('colours when told to', async () => {
    expect((await weft(['info'], { FORCE_COLOR: '1' })).stdout).toContain('\u001b[');
  });

  it('prints facts for programs', async () => {
    const info: unknown = JSON.parse((await weft(['info', '--json'])).stdout);
    expect(info).toMatchObject({
      version,
      addon: { path: expect.stringMatching(/\.node$/), compiler: expect.any(String) },
      node: { version: process.version, napi: expect.any(Number) },
      protocols: { frame: 1, control: 1 },
      transports: expect.arrayContaining([
        expect.objectContaining({ name: 'tcp', usable: true, sharesMemory: false }),
      ]),
    });
  });

  it('takes a reader that stops early', async () => {
    const child = start(['info']);
    child.stdout.destroy();
    expect((await ended(child)).stderr).toBe('');
  });
});

describe('weft doctor', () => {
  it('moves rows over every transport and finds nothing broken', async () => {
    const { code, stdout } = await weft(['doctor', '--json', '--ranks', '1']);
    const report = JSON.parse(stdout) as { fail: number; findings: { name: string; status: string }[] };
    expect(report.findings.filter(({ status }) => status === 'fail')).toEqual([]);
    expect({ code, fail: report.fail }).toEqual({ code: 0, fail: 0 });
    for (const transport of ['loopback', 'shm', 'tcp'])
      expect(report.findings).toContainEqual(
        expect.objectContaining({ name: `mesh over ${transport}`, status: 'ok' }),
      );
  });
});

describe('weft coordinator', () => {
  const layout = { hidden: 8, maxTokens: 4 };

  it('brings a mesh together, tells of it, and ends well on SIGTERM', async () => {
    const child = start(['coordinator', '--attention', '1', '--ffn', '1', '--json']);
    const end = ended(child);
    const { url, token } = JSON.parse(await firstJson(child)) as { url: string; token: string };
    expect(url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    const join = { coordinator: url, token, layout };
    const members = await Promise.all([
      joinMesh({ ...join, role: 'attention' }),
      joinMesh({ ...join, role: 'ffn' }),
    ]);
    await Promise.all(members.map((member) => member.close()));
    child.kill('SIGTERM');
    const { code, stderr } = await end;
    expect(code).toBe(0);
    for (const text of [
      'attention 0 joined',
      'ffn 0 joined',
      'the mesh is complete',
      'ffn 0 left',
      'stopped by SIGTERM',
    ])
      expect(stderr).toContain(text);
  });

  it('does not print a token that it was given', async () => {
    const child = start(['coordinator', '--attention', '1', '--ffn', '1', '--json'], {
      WEFT_TOKEN: 'hidden-token',
    });
    const end = ended(child);
    expect(JSON.parse(await firstJson(child))).toMatchObject({
      tokenFrom: 'WEFT_TOKEN',
      attention: 1,
      ffn: 1,
    });
    child.kill('SIGINT');
    const { code, stdout, stderr } = await end;
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain('hidden-token');
  });

  it.skipIf(!hasOpenssl)('speaks wss with a certificate, and wants its key too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'));
    try {
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      const pem = selfSigned();
      writeFileSync(cert, pem.cert);
      writeFileSync(key, pem.key, { mode: 0o600 });
      const args = ['coordinator', '--attention', '1', '--ffn', '1', '--json', '--tls-cert', cert];
      expect(await weft(args)).toMatchObject({ code: 1, stderr: expect.stringContaining('--tls-key') });
      const child = start([...args, '--tls-key', key, '--join-deadline', '1']);
      const end = ended(child);
      const { url, token } = JSON.parse(await firstJson(child)) as { url: string; token: string };
      expect(url).toMatch(/^wss:/);
      // Nobody else comes, so the join deadline ends it.
      const joining = joinMesh({ coordinator: url, token, role: 'ffn', layout, tls: { ca: pem.cert } });
      await expect(joining).rejects.toMatchObject({ code: 'WEFT_DEADLINE' });
      child.kill('SIGTERM');
      expect((await end).code).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('prints typed errors on one line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-cli-'));
    try {
      writeFileSync(join(folder, 'empty'), '', { mode: 0o600 });
      const args = ['coordinator', '--attention', '1', '--ffn', '1', '--token-file', join(folder, 'empty')];
      const { code, stdout, stderr } = await weft(args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^weft: WEFT_INVALID_ARGUMENT: --token-file .*\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** The one JSON object that is printed first; the process goes on. */
async function firstJson(child: ReturnType<typeof start>): Promise<string> {
  let text = '';
  const collect = (chunk: string): void => {
    text += chunk;
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  while (!text.endsWith('}\n')) await once(child.stdout, 'data');
  child.stdout.off('data', collect);
  return text;
}

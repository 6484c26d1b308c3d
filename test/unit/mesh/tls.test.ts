import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as pathJoin } from 'node:path';
import { expect, it } from 'vitest';
import { startCoordinator } from '../../../src/mesh/coordinator.js';
import { activeHandles, failure, join, noMoreHandles } from './helpers.js';

const token = 'the mesh token';

const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { stdio: 'pipe' });
const hasOpenssl = (() => {
  try {
    return Boolean(openssl('version'));
  } catch {
    return false;
  }
})();

it.skipIf(!hasOpenssl)('serves wss, and only to those who accept its certificate', async () => {
  const dir = mkdtempSync(pathJoin(tmpdir(), 'weft-tls-'));
  const [keyFile, certFile] = [pathJoin(dir, 'key.pem'), pathJoin(dir, 'cert.pem')];
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=weft test',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-keyout',
    keyFile,
    '-out',
    certFile,
  );
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
  rmSync(dir, { recursive: true });

  const before = activeHandles();
  const coordinator = await startCoordinator({ attention: 1, ffn: 1, token, tls: { key, cert } });
  expect(coordinator.url).toMatch(/^wss:/);
  const error = await failure(join(coordinator, 'ffn'), 'WEFT_AUTH');
  expect(error.message).toContain('certificate');
  const plain = join({ url: coordinator.url.replace('wss', 'ws'), token }, 'ffn', { deadlineMs: 200 });
  await failure(plain, 'WEFT_UNAVAILABLE');
  const sessions = [
    await join(coordinator, 'ffn', { tls: { ca: cert } }),
    await join(coordinator, 'attention', { tls: { ca: cert.toString() } }),
  ];
  expect((await sessions[0]!.roster()).epoch).toBe(1);
  await Promise.all(sessions.map((session) => session.close()));
  await coordinator.close();
  await noMoreHandles(before);
});

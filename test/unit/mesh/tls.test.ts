import { expect, it } from 'vitest';
import { startCoordinator } from '../../../src/mesh/coordinator.js';
import { hasOpenssl, selfSigned } from '../../support/certificate.js';
import { activeHandles, failure, join, noMoreHandles } from './helpers.js';

const token = 'the mesh token';

it.skipIf(!hasOpenssl)('serves wss, and only to those who accept its certificate', async () => {
  const { key, cert } = selfSigned();
  const before = activeHandles();
  const coordinator = await startCoordinator({ attention: 1, ffn: 1, token, tls: { key, cert } });
  expect(coordinator.url).toMatch(/^wss:/);
  const error = await failure(join(coordinator, 'ffn'), 'WEFT_AUTH');
  expect(error.message).toContain('certificate');
  const plain = join({ url: coordinator.url.replace('wss', 'ws'), token }, 'ffn', { deadlineMs: 200 });
  await failure(plain, 'WEFT_UNAVAILABLE');
  const sessions = [
    await join(coordinator, 'ffn', { tls: { ca: cert } }),
    await join(coordinator, 'attention', { tls: { ca: Buffer.from(cert) } }),
  ];
  expect((await sessions[0]!.roster()).epoch).toBe(1);
  await Promise.all(sessions.map((session) => session.close()));
  await coordinator.close();
  await noMoreHandles(before);
});

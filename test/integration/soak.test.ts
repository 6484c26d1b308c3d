/** Many rounds: nothing grows. With WEFT_SOAK=1, a million of them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startCoordinator } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { program } from '../support/member.js';

const LONG = process.env.WEFT_SOAK === '1';
const ROUNDS = LONG ? 1_000_000 : 20_000;
const TIMEOUT_MS = LONG ? 1_200_000 : 60_000;
const run = promisify(execFile);

interface Usage {
  rss: number;
  files: number;
}

describe.each(['shm', 'tcp'] as const)('over %s', (transport) => {
  it(`${ROUNDS} rounds, blocking`, { timeout: TIMEOUT_MS }, async () => {
    const coordinator = await startCoordinator({ attention: 1, ffn: 1 });
    const { url, token } = coordinator;
    const members = ['attention', 'ffn'].map((role) =>
      run(process.execPath, [program('soak'), role, url, token, transport, String(ROUNDS)], {
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
      }),
    );
    for (const { stdout } of await Promise.all(members)) {
      const { early, late } = JSON.parse(stdout) as { early: Usage; late: Usage };
      expect(late.files).toBeLessThanOrEqual(early.files);
      expect((late.rss - early.rss) / 1e6, 'MB').toBeLessThan(LONG ? 40 : 30);
    }
    await coordinator.close();
  });
});

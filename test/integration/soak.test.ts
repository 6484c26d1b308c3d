/** Many rounds: nothing grows. Over tcp a million only with WEFT_SOAK=1. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startCoordinator, type TransportName } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { program } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const TIMEOUT_MS = 1_200_000;
const roundsOf = (transport: TransportName): number =>
  transport === 'shm' || process.env.WEFT_SOAK === '1' ? 1_000_000 : 100_000;
const run = promisify(execFile);

interface Usage {
  rss: number;
  files: number;
}

describe.each(betweenProcesses)('over %s', (transport) => {
  const rounds = roundsOf(transport);

  it(`${rounds} rounds, blocking`, { timeout: TIMEOUT_MS }, async () => {
    const coordinator = await startCoordinator({ attention: 1, ffn: 1 });
    const { url, token } = coordinator;
    const members = ['attention', 'ffn'].map((role) =>
      run(process.execPath, [program('soak'), role, url, token, transport, String(rounds)], {
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
      }),
    );
    for (const { stdout } of await Promise.all(members)) {
      const { early, late } = JSON.parse(stdout) as { early: Usage; late: Usage };
      expect(late.files).toBeLessThanOrEqual(early.files);
      expect((late.rss - early.rss) / 1e6, 'MB').toBeLessThan(40);
    }
    await coordinator.close();
  });
});

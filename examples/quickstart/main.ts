/** One attention and one FFN process: rows go over, an "expert" negates them, and the result comes back. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type ExchangeLayout, fromBf16, joinMesh, startCoordinator } from 'tensorweft';

const layout: ExchangeLayout = { hidden: 4, maxTokens: 8 };
const { ROLE: role, COORDINATOR = '', TOKEN: token = '' } = process.env;

if (role === 'attention') {
  await using mesh = await joinMesh({ coordinator: COORDINATOR, token, role, layout });
  const slot = mesh.attention.claim({ tokens: 2 });
  slot.write(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)); // rounded to bf16
  const out = await slot.dispatch().combine();
  console.log(`combined [${out.shape}]: ${fromBf16(out.data as Uint16Array).join(' ')}`);
} else if (role === 'ffn') {
  await using mesh = await joinMesh({ coordinator: COORDINATOR, token, role, layout });
  for await (const { parts } of mesh.ffn.batches()) {
    for (const part of parts) {
      const { hidden, output, rows } = part; // views: nothing is copied
      for (let i = 0; i < rows * layout.hidden; i++) output[i] = hidden[i]! ^ 0x8000; // the sign bit of a bf16
      part.reply();
    }
  }
} else {
  await using coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const env = { ...process.env, COORDINATOR: coordinator.url, TOKEN: coordinator.token };
  const ranks = ['attention', 'ffn'].map((ROLE) => fork(import.meta.filename, { env: { ...env, ROLE } }));
  const codes = await Promise.all(ranks.map(async (rank) => (await once(rank, 'exit'))[0] as number | null));
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
}

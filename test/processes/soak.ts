/**
 * Many small rounds, blocking, every element checked: node soak.js ROLE URL TOKEN TRANSPORT ROUNDS
 * Prints memory and open files after a tenth of the rounds and at the end.
 */
import { readdirSync } from 'node:fs';
import { joinMesh, type Mesh, type Role, type TransportName } from 'tensorweft';

const HIDDEN = 64;
const TOKENS = 4;
const [role, coordinator, token, transport, count] = process.argv.slice(2) as [
  Role,
  string,
  string,
  TransportName,
  string,
];
const rounds = Number(count);
const usage = () => ({ rss: process.memoryUsage.rss(), files: readdirSync('/proc/self/fd').length });
let early = usage();

/** Positive bf16 numbers, different in every round and place. */
const codeAt = (round: number, i: number): number => 0x3000 + ((round * 31 + i * 7) & 0xfff);

function attention({ attention: side }: Mesh): void {
  for (let round = 1; round <= rounds; round++) {
    const slot = side.claim({ tokens: TOKENS, tag: round & 0xffff });
    const { hidden } = slot;
    for (let i = 0; i < TOKENS * HIDDEN; i++) hidden[i] = codeAt(round, i);
    const { data } = slot.dispatch().combineSync();
    for (let i = 0; i < TOKENS * HIDDEN; i++) {
      if (data[i] !== (codeAt(round, i) | 0x8000))
        throw new Error(`round ${round}, element ${i}: ${data[i]}`);
    }
    if (round === Math.floor(rounds / 10)) early = usage();
  }
}

function ffn({ ffn: side }: Mesh): void {
  for (let round = 1; ; round++) {
    const batch = side.nextSync();
    if (batch === undefined) return;
    for (const part of batch.parts) {
      if (part.tag !== (round & 0xffff)) throw new Error(`round ${round} has tag ${part.tag}`);
      const { hidden, output } = part;
      for (let i = 0; i < TOKENS * HIDDEN; i++) output[i] = hidden[i]! | 0x8000;
      part.reply();
    }
    if (round === Math.floor(rounds / 10)) early = usage();
  }
}

const layout = { hidden: HIDDEN, maxTokens: TOKENS };
const mesh = await joinMesh({
  coordinator,
  token,
  role,
  layout,
  transports: [transport],
  deadlineMs: 30_000,
});
if (role === 'attention') attention(mesh);
else ffn(mesh);
const late = usage();
await mesh.close();
console.log(JSON.stringify({ early, late }));

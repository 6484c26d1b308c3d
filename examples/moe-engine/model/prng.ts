/** Seeded numbers, the same on every machine: sfc32, 32-bit integer arithmetic only. */

/** Numbers in [0, 1) with 24 bits, which an fp32 holds exactly. */
export type Random = () => number;

/** A stream for (`seed`, `label`). A tensor has its own stream, so its values do not depend on who else was drawn first. */
export function random(seed: number, label: string): Random {
  let a = seed | 0;
  let b = fnv1a(label);
  let c = 0x9e37_79b9 | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 8) * 2 ** -24;
  };
  for (let i = 0; i < 16; i++) next(); // until seeds that differ in one bit have nothing in common
  return next;
}

function fnv1a(text: string): number {
  let hash = 0x811c_9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return hash;
}

import type { ExpertBatch } from '../batch.js';
import type { PackedSizes } from './packed.js';

/** UE8M0 scales in an int32. */
export const SCALES_IN_WORD = 4;

/** Scales of FP8 rows: to [experts, hidden / 128, room]. */
export function columnMajorScales(batch: ExpertBatch, sizes: PackedSizes, out: Float32Array): void {
  const groups = sizes.hidden / 128;
  eachRow(batch, sizes, (scales, from, expert, i) => {
    let at = expert * groups * sizes.room + i;
    for (let g = 0; g < groups; g++, at += sizes.room) out[at] = scales[from + g]!;
  });
}

/** Scales that are powers of two, as their exponents: to [experts, hidden / 512, room], the lowest byte the first. */
export function packedUe8m0(batch: ExpertBatch, sizes: PackedSizes, out: Int32Array): void {
  const groups = sizes.hidden / 128;
  const words = groups / SCALES_IN_WORD;
  eachRow(batch, sizes, (scales, from, expert, i) => {
    const bits = new Uint32Array(scales.buffer, scales.byteOffset + from * 4, groups);
    let at = expert * words * sizes.room + i;
    for (let g = 0; g < groups; g += SCALES_IN_WORD, at += sizes.room)
      out[at] =
        (bits[g]! >>> 23) |
        ((bits[g + 1]! >>> 23) << 8) |
        ((bits[g + 2]! >>> 23) << 16) |
        ((bits[g + 3]! >>> 23) << 24);
  });
}

/** `visit` is told where a row's scales begin at its source, its expert, and which of the expert's rows it is. */
function eachRow(
  { parts, counts, source, row }: ExpertBatch,
  { ranks, room, hidden }: PackedSizes,
  visit: (scales: Float32Array, from: number, expert: number, i: number) => void,
): void {
  const scalesOf = new Array<Float32Array | undefined>(ranks);
  for (const part of parts) scalesOf[part.rank] = part.scales;
  for (let e = 0; e < counts.length; e++)
    for (let i = 0; i < counts[e]!; i++) {
      const place = e * room + i;
      visit(scalesOf[source[place]!]!, row[place]! * (hidden / 128), e, i);
    }
}

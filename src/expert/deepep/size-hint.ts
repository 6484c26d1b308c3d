import { checkInteger } from './nd-array.js';

const GROUP = 128;
const ALIGN = 128;

/**
 * Bytes that DeepEP reserves for its low-latency buffer, by its formula, bit for bit: for programs that print it or compare
 * it. It says nothing of this library, whose memory follows the rows that are sent (`Mesh.memoryBytes()`). It does not
 * depend on `numRanks`.
 */
export function lowLatencyRdmaSizeHint(
  numMaxDispatchTokensPerRank: number,
  hidden: number,
  numRanks: number,
  numExperts: number,
): number {
  checkInteger('numMaxDispatchTokensPerRank', numMaxDispatchTokensPerRank, 1, 2 ** 20, 'join');
  checkInteger('hidden', hidden, 1, 2 ** 24, 'join');
  checkInteger('numRanks', numRanks, 1, 2 ** 16, 'join');
  checkInteger('numExperts', numExperts, 1, 2 ** 20, 'join');
  const scales = Math.floor(hidden / GROUP) * 4;
  // A header, then the row as bf16, or in FP8 with its scales.
  const dispatched = 16 + Math.max(2 * hidden, hidden + scales);
  const combined = scales + 2 * hidden;
  const slots = numExperts * numMaxDispatchTokensPerRank;
  const send = Math.max(numMaxDispatchTokensPerRank * dispatched, slots * combined);
  const receive = slots * Math.max(dispatched, combined);
  const signals = Math.ceil((4 * numExperts) / ALIGN) * ALIGN;
  const total = 2 * (send + receive + signals);
  return Math.floor((total + ALIGN) / ALIGN) * ALIGN;
}

/** What is continued when the command line names no prompts: lengths differ, so that requests finish apart, and three
 * attention processes get three each, one for every micro-batch. */
export const DEFAULT_PROMPTS: readonly string[] = [
  'The weft passes over and under the warp.',
  'Attention first; experts after.',
  'A',
  'Warp: ',
  'Experts at rest tend to stay at rest unless a router sends them a token, and then they are in a hurry.',
  'In 1804 Joseph Marie Jacquard',
  'Grüße aus Köln, ',
  '0 1 1 2 3 5 8 13 21 ',
  'Three micro-batches in flight: one is attending, one is travelling, one is being fed forward.',
];

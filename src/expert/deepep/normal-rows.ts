import { invalidArgument, WeftError } from '../../errors.js';
import { checkArray, checkInteger, checkShape, type Fp8Pair, type NdArray } from './nd-array.js';

/** bf16 [tokens, hidden], or the caller's FP8 with its scales [tokens, hidden / 128]. */
export type NormalRows = NdArray<Uint16Array> | Fp8Pair;

export interface CheckedRows {
  hidden: number;
  data: Uint16Array | Uint8Array;
  /** Of FP8. */
  scales?: Float32Array;
}

export function checkedRows(x: NormalRows, tokens: number, maxTokens: number): CheckedRows {
  const phase = 'dispatch';
  const isPair = Array.isArray(x);
  if (isPair && x.length !== 2)
    throw invalidArgument('x', x, 'rows of bf16, or a pair of rows of FP8 and their scales', { phase });
  const rows = (isPair ? x[0] : x) as NdArray<Uint16Array | Uint8Array>;
  const name = isPair ? 'x[0]' : 'x';
  const [count, hidden] = checkArray(name, rows, 2, [isPair ? Uint8Array : Uint16Array], phase) as [
    number,
    number,
  ];
  if (count !== tokens)
    throw invalidArgument(`${name}.shape`, rows.shape, `[${tokens}, hidden], a row for each of the routing`, {
      phase,
    });
  if (count > maxTokens)
    throw new WeftError(
      'WEFT_TOO_MANY_TOKENS',
      `x has ${count} rows, and numMaxTokensPerRank of the buffer is ${maxTokens}`,
      { phase, details: { argument: 'x', given: count, allowed: maxTokens } },
    );
  checkInteger(`hidden of ${name}`, hidden, 1, 2 ** 24, phase);
  if (!isPair) return { hidden, data: rows.data };
  if (hidden % 128 !== 0)
    throw invalidArgument(`hidden of ${name}`, hidden, 'a multiple of 128 with FP8', { phase });
  const scales = x[1] as NdArray<Float32Array>;
  checkShape('x[1]', scales, [tokens, hidden / 128], [Float32Array], phase);
  return { hidden, data: rows.data, scales: scales.data };
}

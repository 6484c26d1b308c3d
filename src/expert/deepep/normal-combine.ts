import type { CombineInputs } from '../../afd/combine-inputs.js';
import type { WaitOptions } from '../../afd/wait.js';
import { invalidArgument } from '../../errors.js';
import type { EventOverlap } from './event.js';
import type { Exchanges } from './exchanges.js';
import { checkFinish, type FinishOptions, finish } from './finish.js';
import { checkArray, checkShape, elements, type NdArray } from './nd-array.js';
import { checkHandle, type DispatchHandle } from './normal-handle.js';
import type { OpenRound } from './open-round.js';
import { sendWeightsBack } from './weights-back.js';

export interface CombineOptions extends Omit<FinishOptions, 'returnRecvHook'> {
  /** [rows of recvX, topK]: they go back to where the rows are from, and are added up there. All ranks give them, or none. */
  topkWeights?: NdArray<Float32Array>;
  /** One or two arrays, bf16 [tokens, hidden], that are added to the sum in fp32, before it is rounded. */
  bias?: NdArray<Uint16Array> | readonly [NdArray<Uint16Array>, NdArray<Uint16Array>];
}

export interface Combined {
  /** bf16 [tokens, hidden]: memory that is the caller's until four more dispatches of this kind. */
  combinedX: NdArray<Uint16Array>;
  /** [tokens, topK] */
  combinedTopkWeights: NdArray<Float32Array> | null;
  event: EventOverlap;
}

export async function combine(
  exchanges: Exchanges,
  x: NdArray<Uint16Array>,
  handle: DispatchHandle,
  options: CombineOptions,
): Promise<Combined> {
  exchanges.checkOpen();
  checkHandle(handle, exchanges, 'combine');
  const record = handle.oldest;
  const { round, hidden, recvRows } = record;
  const { tokens, topK } = handle.routing;
  checkFinish(options, 'combine');
  checkRecvRows('x', checkArray('x', x, 2, [Uint16Array], 'combine'), handle, recvRows, hidden);
  const { bias, topkWeights, deadlineMs, signal } = options;
  const wait: WaitOptions = { deadlineMs, signal };
  const biases = biasesOf(bias, [tokens, hidden]);
  if (topkWeights !== undefined) {
    const shape = checkArray('topkWeights', topkWeights, 2, [Float32Array], 'combine');
    checkRecvRows('topkWeights', shape, handle, recvRows, topK);
  }

  round.reply((batch) => {
    batch.sums.set(x.data.subarray(0, batch.rows * hidden));
    batch.replySums();
  });
  const { exchange, generation } = round;
  if (topkWeights !== undefined && record.weightsBack === undefined)
    try {
      const { maxTokens } = exchange.mesh.layout;
      record.weightsBack = await sendWeightsBack(exchanges, handle, maxTokens, topkWeights.data, wait);
    } catch (error) {
      round.combineAgain();
      throw error;
    }
  const { weightsBack } = record;
  const shape = [tokens, hidden];
  const result = exchange.tensorOf(generation, 'result');
  const combined = result.data.subarray(0, elements(shape)) as Uint16Array;
  const added = inRegisteredMemory(biases, round);
  const { event } = await finish(
    options,
    async (waiting) => {
      await round.combine(result, { ...waiting, ...added });
      await weightsBack?.combine(waiting);
    },
    () => round.combineAgain(),
  );
  if (handle.rounds[0]?.round === round) handle.rounds.shift();
  return { combinedX: { data: combined, shape }, combinedTopkWeights: weightsBack?.weights ?? null, event };
}

function biasesOf(bias: CombineOptions['bias'], shape: readonly number[]): readonly NdArray<Uint16Array>[] {
  if (bias === undefined) return [];
  if ('data' in bias) {
    checkShape('bias', bias, shape, [Uint16Array], 'combine');
    return [bias];
  }
  if (!Array.isArray(bias) || bias.length !== 2)
    throw invalidArgument('bias', bias, 'one array or two', { phase: 'combine' });
  bias.forEach((each, i) => {
    checkShape(`bias[${i}]`, each, shape, [Uint16Array], 'combine');
  });
  return bias;
}

/** Copies of them where the native side reads them. */
function inRegisteredMemory(
  biases: readonly NdArray<Uint16Array>[],
  { exchange, generation }: OpenRound,
): CombineInputs {
  const tensors = biases.map(({ data }, i) => {
    const tensor = exchange.tensorOf(generation, `bias ${i}`);
    tensor.data.set(data);
    return tensor;
  });
  if (tensors.length === 0) return {};
  return { bias: tensors.length === 1 ? tensors[0]! : [tensors[0]!, tensors[1]!] };
}

function checkRecvRows(
  name: string,
  shape: readonly number[],
  { numRecvTokens }: DispatchHandle,
  recvRows: number,
  width: number,
): void {
  if ((shape[0] === recvRows || shape[0] === numRecvTokens) && shape[1] === width) return;
  throw invalidArgument(`${name}.shape`, shape, `[${recvRows}, ${width}], a row for each of recvX`, {
    phase: 'combine',
  });
}

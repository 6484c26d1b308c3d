import { invalidArgument, WeftError } from '../errors.js';
import { Code, type NativeAttention } from '../native.js';
import { Tensor } from '../tensor/tensor.js';
import type { RoundFacts } from './attention-slot.js';
import type { ExchangeContext } from './context.js';

/** What a combine takes beside the replies. A later combine of the same round, after WEFT_DEADLINE say, goes on with it. */
export interface CombineInputs {
  /**
   * Layouts with combine 'weighted' only: [tokens, topK] weights to combine with, instead of those that the round was
   * dispatched with. Copied during the call.
   */
  weights?: Float32Array;
  /**
   * One or two bf16 tensors of this mesh with room for [tokens, hidden], which are added up in front of the replies, in fp32.
   * They are read until the combine has ended.
   */
  bias?: Tensor | readonly [Tensor, Tensor];
}

/** Checks them and hands them over; not while the round is being combined. */
export function giveInputs(
  native: NativeAttention,
  context: ExchangeContext,
  { generation, tokens }: RoundFacts,
  { weights, bias }: CombineInputs,
): Code {
  if (weights !== undefined) {
    checkWeights(weights, context, tokens);
    const code = native.reweigh(generation, weights);
    if (code !== Code.ok) return code;
  }
  if (bias === undefined) return Code.ok;
  const biases = Array.isArray(bias) ? (bias as readonly Tensor[]) : [bias as Tensor];
  if (biases.length < 1 || biases.length > 2)
    throw invalidArgument('bias', bias, 'one tensor or two', { phase: 'combine' });
  for (const each of biases) checkBias(each, context, tokens);
  const [first, second] = biases;
  return native.bias(generation, first!.data.byteOffset, second?.data.byteOffset ?? -1);
}

function checkWeights(weights: Float32Array, { layout }: ExchangeContext, tokens: number): void {
  if (layout.combine !== 'weighted')
    throw new WeftError(
      'WEFT_STATE',
      `weights are for layouts with combine 'weighted', and this mesh's has '${layout.combine}'`,
      { phase: 'combine', details: { argument: 'weights' } },
    );
  if (!(weights instanceof Float32Array)) throw wrongType('weights', 'a Float32Array');
  const { topK } = layout.experts!;
  if (weights.length !== tokens * topK)
    throw invalidArgument(
      'weights',
      `${weights.length} elements`,
      `${tokens * topK} elements long: [${tokens}, ${topK}]`,
      { phase: 'combine' },
    );
}

function checkBias(bias: Tensor, { layout, heap }: ExchangeContext, tokens: number): void {
  if (!(bias instanceof Tensor) || !heap.owns(bias))
    throw new WeftError('WEFT_FOREIGN_BUFFER', 'bias must be a tensor of this mesh, made by mesh.tensor()', {
      phase: 'combine',
      details: { argument: 'bias' },
    });
  if (bias.dtype !== 'bf16') throw wrongType('bias', 'bf16');
  if (bias.data.length < tokens * layout.hidden)
    throw invalidArgument('bias', bias.shape, `at least [${tokens}, ${layout.hidden}]`, { phase: 'combine' });
}

function wrongType(argument: string, allowed: string): WeftError {
  return new WeftError('WEFT_DTYPE', `${argument} must be ${allowed}`, {
    phase: 'combine',
    details: { argument, allowed },
  });
}

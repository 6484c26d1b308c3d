/**
 * tensorweft: M:N tensor communication for disaggregated LLM inference.
 * @packageDocumentation
 */
export { AttentionSide, type ClaimOptions } from './afd/attention.js';
export {
  AttentionRound,
  type BlockingCombineOptions,
  type CombineChoices,
  type CombineOptions,
  type RankReply,
} from './afd/attention-round.js';
export { AttentionSlot } from './afd/attention-slot.js';
export type { CombineInputs } from './afd/combine-inputs.js';
export { type BlockingCollectOptions, type CollectChoices, type CollectOptions, FfnSide } from './afd/ffn.js';
export { FfnBatch } from './afd/ffn-batch.js';
export { FfnPart, type Selections } from './afd/ffn-part.js';
export type { Gather } from './afd/gather.js';
export type { Column, ExchangeLayout, ResolvedLayout, RowType } from './afd/layout.js';
export type { OnPeerLoss } from './afd/loss.js';
export type { BlockingOptions, WaitOptions } from './afd/wait.js';
export { isWeftError, type PeerName, type Phase, type WeftCode, WeftError } from './errors.js';
export { type Balance, balanceOf } from './expert/balance.js';
export { ExpertBatch, type ExpertPart } from './expert/batch.js';
export { ExpertBlock } from './expert/block.js';
export type { BlockChoices, BlockingBlockOptions, BlockOptions } from './expert/block-waits.js';
export * as deepep from './expert/deepep/index.js';
export { eplbPlacement, type Rebalanced, rebalanceExperts } from './expert/eplb.js';
export type { Loads } from './expert/loads.js';
export { linearPlacement, type Placement, roundRobinPlacement } from './expert/placement.js';
export { type Migration, type Replanned, type ReplanOptions, replan } from './expert/replan.js';
export {
  type BlockingExpertCollectOptions,
  type ExpertCollectChoices,
  type ExpertCollectOptions,
  ExpertSide,
} from './expert/side.js';
export type { ClientTls } from './mesh/control-dial.js';
export {
  type Coordinator,
  type CoordinatorEvents,
  type CoordinatorOptions,
  startCoordinator,
} from './mesh/coordinator.js';
export type { ServerTls } from './mesh/coordinator-server.js';
export { type JoinOptions, joinMesh } from './mesh/join.js';
export type { Logger } from './mesh/logger.js';
export { type AgreedMembers, type AgreeOptions, Mesh, type PeerExplanation } from './mesh/mesh.js';
export type { Departure, Member, Role, Roster } from './mesh/roster.js';
export type { TransportName } from './mesh/transport-names.js';
export type { TransportVerdict } from './mesh/transports.js';
export type { WaitPolicy } from './mesh/wait-policy.js';
export {
  dequantize,
  fromBf16,
  type QuantizedRows,
  quantize,
  scalesPerRow,
  toBf16,
} from './tensor/convert.js';
export type { DType, TypedArray } from './tensor/dtype.js';
export { Tensor } from './tensor/tensor.js';

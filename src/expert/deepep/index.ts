/** The exchange of rows between experts, as DeepEP's users know it. */
export { Buffer } from './buffer.js';
export type { DispatchLayout } from './dispatch-layout.js';
export { EventOverlap, type RecvHook } from './event.js';
export type { FinishOptions } from './finish.js';
export type { BufferOptions, Group } from './group.js';
export type { LowLatencyCombined, LowLatencyCombineOptions } from './low-latency-combine.js';
export type {
  LowLatencyDispatched,
  LowLatencyDispatchOptions,
  LowLatencyRows,
} from './low-latency-dispatch.js';
export { LowLatencyHandle } from './low-latency-handle.js';
export type { Fp8Pair, NdArray, NdData } from './nd-array.js';
export type { Combined, CombineOptions } from './normal-combine.js';
export type { Dispatched, DispatchOptions } from './normal-dispatch.js';
export { DispatchHandle } from './normal-handle.js';
export type { NormalRows } from './normal-rows.js';
export type { Received, ReceivedRows } from './received.js';
export type { TopkIdx } from './routing.js';

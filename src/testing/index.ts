/**
 * The conformance suite: what every transport must do, as named cases that any test runner can run, and the workload it
 * is made of.
 *
 * ```ts
 * import { conformance } from 'tensorweft/testing';
 * for (const { name, run } of conformance({ transport: 'shm' })) test(name, run);
 * ```
 * @packageDocumentation
 */
export type { ConformanceCase } from './cases.js';
export { type ConformanceOptions, conformance } from './conformance.js';
export { type Refusal, rejects } from './rejects.js';
export { openRig, type Rig } from './rig.js';
export { play, type Run } from './run.js';
export type { Scenario } from './scenario.js';
export * as workload from './workload.js';

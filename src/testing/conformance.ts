import type { JoinOptions } from '../mesh/join.js';
import type { TransportName } from '../mesh/transports.js';
import { contentCases } from './cases-content.js';
import { endCases } from './cases-end.js';
import { flowCases } from './cases-flow.js';
import { shapeCases } from './cases-shape.js';
import { streamCases } from './cases-stream.js';

export interface ConformanceOptions {
  /** The transport under test; all members run in this process. */
  transport: TransportName;
  /** Milliseconds for every wait. Default 30,000. */
  deadlineMs?: number;
}

/** A case passes when `run()` resolves. Cases are independent of each other and leave nothing behind. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

/** Makes cases that join their meshes with the given options. */
export type Cases = (join: Partial<JoinOptions>) => ConformanceCase[];

/** What every transport must do, with the same results. */
export function conformance({ transport, deadlineMs = 30_000 }: ConformanceOptions): ConformanceCase[] {
  const join: Partial<JoinOptions> = { transports: [transport], require: [transport], deadlineMs };
  const families: Cases[] = [shapeCases, contentCases, streamCases, flowCases, endCases];
  return families.flatMap((cases) => cases(join));
}

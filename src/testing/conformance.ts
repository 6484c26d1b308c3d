import type { JoinOptions } from '../mesh/join.js';
import type { TransportName } from '../mesh/transport-names.js';
import type { Cases, ConformanceCase } from './cases.js';
import { contentCases } from './cases-content.js';
import { endCases } from './cases-end.js';
import { expertCases } from './cases-experts.js';
import { flowCases } from './cases-flow.js';
import { shapeCases } from './cases-shape.js';
import { streamCases } from './cases-stream.js';

export interface ConformanceOptions {
  /** The transport under test; all members run in this process. */
  transport: TransportName;
  /** Milliseconds for every wait. Default 30,000. */
  deadlineMs?: number;
}

/** What every transport must do, with the same results. */
export function conformance({ transport, deadlineMs = 30_000 }: ConformanceOptions): ConformanceCase[] {
  const join: Partial<JoinOptions> = { transports: [transport], require: [transport], deadlineMs };
  const families: Cases[] = [shapeCases, contentCases, streamCases, flowCases, endCases, expertCases];
  return families.flatMap((cases) => cases(join));
}

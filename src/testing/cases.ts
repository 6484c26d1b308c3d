import type { JoinOptions } from '../mesh/join.js';

/** A case passes when `run()` resolves. Cases are independent of each other and leave nothing behind. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

/** Makes cases that join their meshes with the given options. */
export type Cases = (join: Partial<JoinOptions>) => ConformanceCase[];

/**
 * The suite's workload in pieces: contents that follow from a scenario, and what fills, checks and answers them. For
 * programs that play one rank, and for tests that stop in the middle of a round.
 */
export { untilClaimable } from './claimable.js';
export { type Expectation, expectedResult } from './contents.js';
export {
  type AttentionWork,
  checkResult,
  driveAttention,
  driveFfn,
  type FfnWork,
} from './drive.js';
export {
  answerExperts,
  checkExpertResult,
  dispatchExperts,
  driveExperts,
  type ExpertWork,
  serveExperts,
} from './expert-drive.js';
export {
  type ExpertFacts,
  type ExpertLoss,
  type ExpertScenario,
  expertFactsOf,
  REPLICATED,
} from './expert-scenario.js';
export { claimRound, fillRows } from './fill.js';
export { same } from './same.js';
export { type Facts, factsOf, type RoundPlace, type Scenario, tokensOf } from './scenario.js';
export {
  checkPart,
  checkRows,
  checkSelections,
  replyRowsOf,
  type Server,
  writeOutput,
} from './serve.js';

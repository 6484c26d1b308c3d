import { failureText, Unavailable } from './report-failure.mjs';

/** Adds up what a stage found. */
export class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;
  /** Texts for people: why something failed. */
  failures = [];
  /** Texts for people: why something was not run. */
  reasons = [];

  /** One check that passes when `work` resolves. A machine that lacks something skips it. */
  async check(title, work) {
    try {
      await work();
      this.passed++;
      return true;
    } catch (error) {
      if (error instanceof Unavailable) this.skip(`${title}: ${error.message}`);
      else this.fail(`${title}: ${failureText(error)}`);
      return false;
    }
  }

  fail(text, count = 1) {
    this.failed += count;
    this.failures.push(text);
  }

  skip(reason, count = 1) {
    this.skipped += count;
    this.reasons.push(reason);
  }
}

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { buildAddon } from '../addon.mjs';
import { CommandFailed, run } from '../command.mjs';
import { fabricsHere } from '../fabrics.mjs';
import { inRoot, logs, root } from '../paths.mjs';
import { failureText } from '../report-failure.mjs';
import { buildPackage, buildPrograms } from '../typescript.mjs';

/** The vitest suite. It tests src directly, and what is built from it in processes of its own. */
export async function ts(tally) {
  const report = join(logs, 'vitest.json');
  rmSync(report, { force: true });
  let failure;
  try {
    await buildAddon();
    await buildPackage();
    await buildPrograms();
    await run('ts', vitest, vitestArgs(report), { env: { ...fabricsHere(tally), ...PLAIN } });
  } catch (error) {
    failure = error;
  }
  countCases(tally, report, failure);
}

export const vitest = inRoot('node_modules/.bin/vitest');
export const PLAIN = { NO_COLOR: '1', FORCE_COLOR: undefined };

export function vitestArgs(report) {
  return ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
}

/** `left`: cases that were not to run are no skipped ones. */
export function countCases(tally, report, failure, { left = false } = {}) {
  if (!existsSync(report)) return tally.fail(failureText(failure ?? new Error(`${report} was not written`)));
  const { numPassedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  tally.passed += numPassedTests;
  const skipped = left ? 0 : numPendingTests + numTodoTests;
  if (skipped > 0) tally.skip('skipped by the tests themselves', skipped);
  const failed = failures(testResults);
  for (const name of failed) tally.fail(name);
  // Something outside every test: an unhandled rejection, a crash of a worker.
  if (failure !== undefined && failed.length === 0) tally.fail(failureText(failure));
  else if (failed.length > 0 && failure instanceof CommandFailed) tally.failures.push(failureText(failure));
}

/** Names of failed tests, and of files that failed before their tests began. */
function failures(files) {
  return files.flatMap(({ name, status, message, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed').map((test) => test.fullName);
    if (failed.length === 0 && status === 'failed')
      return [`${relative(root, name)}: ${message.split('\n')[0]}`];
    return failed.map((test) => `${relative(root, name)}: ${test}`);
  });
}

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { dropForeignBuild, GENERATOR } from '../cmake.mjs';
import { CommandFailed, run } from '../command.mjs';
import { fabricsHere } from '../fabrics.mjs';
import { missingPackages } from '../packages.mjs';
import { inRoot, logs } from '../paths.mjs';
import { step } from '../progress.mjs';
import { failureText } from '../report-failure.mjs';
import { cores, which } from '../tools.mjs';

/**
 * The GoogleTest suite in one build: `folder` under out/, `sanitize` a -fsanitize list or nothing, `filter` as
 * --gtest_filter, `env` for the run, `retry` other ways of running it, see below.
 */
export async function nativeSuite(tally, { folder, sanitize = '', filter, env = {}, retries = [] }) {
  const program = await builtSuite(tally, folder, sanitize);
  if (program === undefined) return;
  const report = join(logs, `${folder}.json`);
  const fabrics = fabricsHere(tally);
  const command = [program, ...gtestArgs(report, filter)];
  const failure = await runWithRetries(folder, command, report, { ...fabrics, ...env }, retries);
  countTests(tally, report, failure);
}

/** The program of the suite; undefined when it could not be built, which the tally then says. */
export async function builtSuite(tally, folder, sanitize = '') {
  const missing = missingPackages(['native tests']);
  if (which('cmake') === undefined) missing.unshift('cmake');
  if (missing.length > 0) return tally.skip(`${missing.join(', ')} not installed`);
  try {
    await step(`building out/${folder}/native_tests`, () => buildSuite(folder, sanitize));
  } catch (error) {
    return tally.fail(failureText(error));
  }
  return inRoot('out', folder, 'native_tests');
}

export function gtestArgs(report, filter) {
  const args = [`--gtest_output=json:${report}`, '--gtest_color=no'];
  return filter === undefined ? args : [...args, `--gtest_filter=${filter}`];
}

async function buildSuite(folder, sanitize) {
  const build = join('out', folder);
  dropForeignBuild(build);
  // Sanitised code is for finding faults, not for speed: -O1 halves the time to compile it.
  const type =
    sanitize === ''
      ? ['-DCMAKE_BUILD_TYPE=Release']
      : ['-DCMAKE_BUILD_TYPE=Sanitize', '-DCMAKE_CXX_FLAGS_SANITIZE=-O1'];
  const options = ['-DWEFT_TESTS=ON', `-DWEFT_SANITIZE=${sanitize}`, ...type];
  await run(`${folder}-configure`, 'cmake', ['-S', '.', '-B', build, '-G', GENERATOR, ...options]);
  const target = ['--target', 'native_tests', '-j', String(cores)];
  await run(`${folder}-build`, 'cmake', ['--build', build, ...target], { limitMinutes: 30 });
}

/**
 * Sanitizers want things of the machine that a container may refuse. Each retry names the complaint that it answers
 * (`when`), and how to run then: `before` the program, with `env`.
 */
async function runWithRetries(folder, command, report, env, retries) {
  const ways = [{ before: [], env: {} }, ...retries];
  let failure;
  for (const way of ways) {
    if (way.when !== undefined && !way.when.test(failure.output)) continue;
    rmSync(report, { force: true });
    const [program, ...args] = [...way.before, ...command];
    try {
      await run(folder, program, args, { env: { ...env, ...way.env }, limitMinutes: 15 });
      return undefined;
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      failure = error;
    }
  }
  return failure;
}

export function countTests(tally, report, failure) {
  // A crash: the output ends with the test that ran.
  if (!existsSync(report)) return tally.fail(failureText(failure ?? new Error(`${report} was not written`)));
  const { testsuites } = JSON.parse(readFileSync(report, 'utf8'));
  const tests = testsuites.flatMap(({ testsuite }) => testsuite).filter(({ status }) => status === 'RUN');
  const failed = tests.filter(({ failures }) => failures !== undefined);
  const skipped = tests.filter(({ result }) => result === 'SKIPPED').length;
  tally.passed += tests.length - failed.length - skipped;
  if (skipped > 0) tally.skip('skipped by the tests themselves', skipped);
  for (const { classname, name, failures } of failed)
    tally.fail(`${classname}.${name}: ${failures.map((one) => one.failure).join('\n')}`);
  // A sanitizer's complaint, at the end or beside the tests.
  if (failure !== undefined && failed.length === 0) tally.fail(failureText(failure));
  if (tests.length === 0) tally.fail('no test matches the filter');
}

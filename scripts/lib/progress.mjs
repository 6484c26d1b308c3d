/** What the scripts say while they work: lines on stderr, and only for what takes long enough to wonder about. */

const WORTH_A_LINE_MS = 1500;

export function note(text) {
  process.stderr.write(`weft: ${text}\n`);
}

/** "61.2 s", "3 min 5 s" */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Runs `work` and says so, with the time it took, unless it ended at once. */
export async function step(title, work) {
  const started = performance.now();
  let told = false;
  const timer = setTimeout(() => {
    told = true;
    note(`${title} ...`);
  }, WORTH_A_LINE_MS);
  try {
    const result = await work();
    if (told) note(`${title}: ${duration(performance.now() - started)}`);
    return result;
  } catch (error) {
    note(`${title}: failed after ${duration(performance.now() - started)}`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

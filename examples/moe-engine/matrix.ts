/** Every required split, over every transport and payload, each compared with one process. */
import Table from 'cli-table3';
import type { Engine, EngineRun } from './engine.js';
import { measure } from './measure.js';
import { DISPATCHES, MATRIX_SHAPES, MATRIX_TRANSPORTS, type Split, shapeName, splitName } from './options.js';

/** A run that could not be finished has an error in place of a result. */
export interface MatrixEntry {
  readonly split: Split;
  readonly result?: EngineRun;
  readonly error?: string;
}

/** Runs all combinations one after the other; `base` gives what is not varied. A failed one does not stop the others. */
export async function runMatrix(
  engine: Engine,
  base: Split,
  signal: AbortSignal,
  onNote: (text: string) => void,
): Promise<MatrixEntry[]> {
  const entries: MatrixEntry[] = [];
  for (const shape of MATRIX_SHAPES) {
    for (const transport of MATRIX_TRANSPORTS) {
      for (const dispatch of DISPATCHES) {
        signal.throwIfAborted();
        const split = { ...base, ...shape, transport, dispatch };
        onNote(splitName(split));
        try {
          entries.push({ split, result: await engine.run(split, true, signal, () => {}) });
        } catch (error) {
          signal.throwIfAborted();
          entries.push({ split, error: error instanceof Error ? error.message : String(error) });
        }
      }
    }
  }
  return entries;
}

/** True when every combination ran and generated what one process does. */
export function allIdentical(entries: readonly MatrixEntry[]): boolean {
  return entries.every(({ result }) => result !== undefined && result.difference === undefined);
}

/** One line a combination; errors and differences in full below. */
export function matrixTable(entries: readonly MatrixEntry[]): string {
  const table = new Table({
    head: [
      'ranks',
      'transport',
      'dispatch',
      'tokens',
      'identical',
      'tokens/s',
      'round trip p50 us',
      'p99 us',
    ],
    style: { head: [], border: [] },
  });
  const notes: string[] = [];
  for (const { split, result, error } of entries) {
    const name = [shapeName(split), split.transport, split.dispatch];
    const wrong = error ?? result?.difference;
    if (wrong !== undefined) notes.push(`${splitName(split)}: ${wrong}`);
    if (!result) {
      table.push([...name, '-', 'failed', '-', '-', '-']);
      continue;
    }
    const { tokens, tokensPerSecond, roundTrip } = measure(result.run);
    const numbers = [tokensPerSecond.toFixed(1), roundTrip.p50.toFixed(0), roundTrip.p99.toFixed(0)];
    table.push([...name, tokens, wrong === undefined ? 'yes' : 'NO', ...numbers]);
  }
  return [table.toString(), ...notes].join('\n');
}

/** Results for people and for programs. */
import type { EngineRun } from './engine.js';
import { type Measures, measure, type Percentiles } from './measure.js';
import { printable } from './model/tokens.js';
import type { Prompt } from './request.js';

/** Text of a run, ending in the verdict. */
export function report(result: EngineRun, prompts: readonly Prompt[]): string {
  const { split, run, reference } = result;
  const { attention, ffn, ep } = split;
  const m = measure(run);
  const lines = [
    `${ep ? `${ffn} expert-parallel` : `${attention} attention + ${ffn} FFN`} processes over ${split.transport}: ` +
      `${split.dispatch} dispatch to ${split.mode} rows, ${split.combine} combine, ${split.microBatches} micro-batches`,
    '',
  ];
  for (const { id, tokens } of run.generations) {
    lines.push(`  ${prompts[id]!.text}`, `    -> ${printable(tokens)}`, '');
  }
  const alone = reference ? ` (one process: ${(m.tokens / reference.seconds).toFixed(1)})` : '';
  lines.push(
    `${m.tokens} tokens in ${m.seconds.toFixed(2)} s: ${m.tokensPerSecond.toFixed(1)} tokens/s${alone}`,
    `${m.rounds} rounds (${m.emptyRounds} of them empty) with ${m.rows} rows; ` +
      `up to ${m.mostInFlight} in flight per attention rank`,
    '',
    latency('dispatch + combine, round trip', m.roundTrip),
    latency('  of it exposed, not overlapped', m.exposed),
    latency('  expert compute per FFN rank', m.ffnCompute),
    '',
    verdict(result, m),
  );
  return lines.join('\n');
}

/** The last line of a run. */
function verdict({ reference, difference }: EngineRun, m: Measures): string {
  if (!reference) return 'tokens identical to one process: not checked';
  if (difference !== undefined) return `tokens identical to one process: NO: ${difference}`;
  return `tokens identical to one process: yes (${m.tokens} tokens, and every bit of their logits)`;
}

function latency(name: string, { count, p50, p99 }: Percentiles): string {
  if (count === 0) return `${name.padEnd(33)} no samples: every round was warm-up`;
  return `${name.padEnd(33)} p50 ${p50.toFixed(0).padStart(7)} us   p99 ${p99.toFixed(0).padStart(7)} us`;
}

/** The same as a plain object; times in microseconds unless the name says otherwise. */
export function toJson(result: EngineRun, prompts: readonly Prompt[]): Record<string, unknown> {
  const { split, run, reference, difference } = result;
  return {
    split,
    ...measure(run),
    referenceSeconds: reference?.seconds,
    identical: reference ? difference === undefined : undefined,
    difference,
    texts: run.generations.map(({ id, tokens, digest }) => ({
      prompt: prompts[id]!.text,
      text: printable(tokens),
      tokens,
      digest,
    })),
    ffn: run.ffn.map(({ compute: _, ...counts }) => counts),
  };
}

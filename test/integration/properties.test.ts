/** Any layout, any routing, any way to drive it: every byte as the oracle says. */
import fc from 'fast-check';
import type { ExchangeLayout, Gather } from 'tensorweft';
import { play, type Run, type Scenario } from 'tensorweft/testing';
import { describe, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const small = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });

const experts = (ffn: number): fc.Arbitrary<NonNullable<ExchangeLayout['experts']>> =>
  small(1, 9).chain((count) =>
    fc.record(
      {
        count: fc.constant(count),
        topK: small(1, count),
        placement: fc.array(small(0, ffn - 1), { minLength: count, maxLength: count }),
      },
      { requiredKeys: ['count', 'topK'] },
    ),
  );

const columns: fc.Arbitrary<NonNullable<ExchangeLayout['columns']>> = fc
  .array(
    fc.record({ dtype: fc.constantFrom('u8', 'i32', 'u32', 'f32', 'bf16', 'fp8e4m3'), width: small(1, 40) }),
    {
      maxLength: 3,
    },
  )
  .map((all) => all.map((column, i) => ({ ...column, name: `column ${i}` })));

const layouts = (ffn: number): fc.Arbitrary<ExchangeLayout> =>
  fc
    .record({
      hidden: fc.oneof(small(1, 8), small(1, 300)),
      maxTokens: small(1, 12),
      depth: small(2, 5),
      dtype: fc.constantFrom('bf16', 'fp8e4m3', 'f32', 'u8'),
      mode: fc.constantFrom('all', 'routed'),
      powerOfTwoScales: fc.boolean(),
      experts: fc.option(experts(ffn), { nil: undefined }),
      combine: fc.constantFrom('sum', 'weighted', 'none'),
      columns,
      metaBytes: fc.oneof(small(0, 40), small(0, 5000)),
    })
    .map(({ dtype, mode, powerOfTwoScales, experts: routing, combine, ...layout }) => ({
      ...layout,
      ...(routing && { experts: routing }),
      dispatch: { dtype, mode: routing ? mode : 'all', powerOfTwoScales },
      combine: dtype === 'u8' ? 'none' : combine === 'weighted' && !routing ? 'sum' : combine,
    }));

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({ attention: small(1, 3), ffn: small(1, 3), rounds: small(1, 9), seed: fc.nat() })
  .chain((mesh) => layouts(mesh.ffn).map((layout) => ({ ...mesh, layout })));

const gathers: fc.Arbitrary<Gather> = fc.oneof(
  fc.constant<Gather>('any'),
  fc.constant<Gather>({ atLeast: 1, withinMs: 1 }),
);

const runs: fc.Arbitrary<Required<Pick<Run, 'attention' | 'ffn'>>> = fc.record({
  attention: fc.record({
    inFlight: small(1, 2),
    block: small(1, 12),
    order: fc.constantFrom('oldest', 'newest', 'any'),
  }),
  ffn: fc.record({ gather: gathers, streamed: fc.boolean(), block: small(1, 12) }),
});

describe.each(everyTransport)('over %s', (transport) => {
  it('an exchange delivers what was sent', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, runs, async (scenario, run) => {
        await play(scenario, { ...run, join: { transports: [transport], deadlineMs: 20_000 } });
      }),
      { numRuns: Number(process.env.WEFT_RUNS ?? 20) },
    );
  }, 120_000);
});

import type { ExchangeLayout } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { dispatchColumns, nativeConfig, replyType, resolveLayout } from '../../../src/afd/layout.js';
import { roundRobinPlacement } from '../../../src/expert/placement.js';
import { refuses } from '../../support/wrong.js';

const least: ExchangeLayout = { hidden: 8, maxTokens: 4 };
const experts = { count: 4, topK: 2 };

describe('a layout', () => {
  it('has defaults', () => {
    expect(resolveLayout(least)).toEqual({
      hidden: 8,
      maxTokens: 4,
      depth: 3,
      dtype: 'bf16',
      mode: 'all',
      symmetric: false,
      powerOfTwoScales: false,
      experts: undefined,
      combine: 'sum',
      columns: [],
      metaBytes: 256,
    });
  });

  it('does not keep what it was given', () => {
    const placement = [0, 1, 1, 0];
    const columns = [{ name: 'a', dtype: 'u8' as const, width: 1 }];
    const resolved = resolveLayout({ ...least, experts: { ...experts, placement }, columns });
    placement[0] = 1;
    columns[0]!.width = 9;
    expect(resolved.experts!.placement).toEqual([[0], [1], [1], [0]]);
    expect(resolved.columns[0]!.width).toBe(1);
  });

  it('places experts in contiguous blocks when nothing else is said', () => {
    const placed = (count: number, ffn: number): number[] => [
      ...nativeConfig(resolveLayout({ ...least, experts: { count, topK: 1 } }), 1, ffn).placement,
    ];
    expect(placed(8, 2)).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(placed(5, 3)).toEqual([0, 0, 1, 1, 2]);
    expect(placed(2, 4)).toEqual([0, 2]);
  });

  it('refuses a placement outside of the mesh once its size is known', async () => {
    const layout = resolveLayout({ ...least, experts: { ...experts, placement: [0, 1, 2, 0] } });
    await refuses('layout.experts.placement', () => nativeConfig(layout, 1, 2));
    expect([...nativeConfig(layout, 1, 3).placement]).toEqual([0, 1, 2, 0]);
  });

  it('takes replicas, and placements as they are planned', () => {
    const replicas = (
      placement: NonNullable<NonNullable<ExchangeLayout['experts']>['placement']>,
    ): number[][] => resolveLayout({ ...least, experts: { ...experts, placement } }).experts!.placement!;
    expect(replicas([0, [2, 0], [1], [1, 1, 0]])).toEqual([[0], [0, 2], [1], [0, 1]]);
    expect(replicas(roundRobinPlacement(4, 3))).toEqual([[0], [1], [2], [0]]);
    const slots = [
      [0, 1, 1],
      [2, 3, 0],
    ];
    expect(replicas({ experts: 4, slots })).toEqual([[0, 1], [0], [1], [1]]);
    const layout = resolveLayout({ ...least, experts: { ...experts, placement: { experts: 4, slots } } });
    expect([...nativeConfig(layout, 1, 2).replicas]).toEqual([2, 1, 1, 1]);
    expect([...nativeConfig(layout, 1, 2).placement]).toEqual([0, 1, 0, 1, 1]);
  });

  it('of an expert-parallel mesh is routed, and combines weighted when nothing else is said', async () => {
    const resolve = (layout: ExchangeLayout) => resolveLayout(layout, true);
    const symmetric = resolve({ ...least, experts });
    expect(symmetric).toMatchObject({ mode: 'routed', symmetric: true, combine: 'weighted' });
    expect(symmetric.experts).toMatchObject({ packing: 'compact', alignment: 1 });
    const padded = resolve({ ...least, experts: { ...experts, packing: 'padded' } });
    expect(nativeConfig(padded, 3, 3)).toMatchObject({ symmetric: true, expertRows: 12 });
    expect(replyType(resolve({ ...least, experts, dispatch: { dtype: 'u8' } }))).toBe('bf16');
    await refuses('layout.experts', () => resolve(least));
    await refuses('layout.dispatch.mode', () => resolve({ ...least, experts, dispatch: { mode: 'all' } }));
    await refuses('layout.combine', () => resolve({ ...least, experts, combine: 'none' }));
    for (const alignment of [0, -1, 1.5, 2 ** 20])
      await refuses('layout.experts.alignment', () =>
        resolve({ ...least, experts: { ...experts, alignment } }),
      );
    await refuses('layout.experts.packing', () =>
      resolve({ ...least, experts: { ...experts, packing: 'loose' as 'padded' } }),
    );
    await refuses('layout.experts.alignment', () =>
      resolveLayout({ ...least, experts: { ...experts, alignment: 2 } }),
    );
  });

  it('says which columns travel', () => {
    const names = (layout: ExchangeLayout): string[] =>
      dispatchColumns(resolveLayout(layout)).map(({ name, dtype, width }) => `${name} ${dtype} ${width}`);
    expect(names(least)).toEqual(['hidden bf16 8']);
    expect(
      names({
        ...least,
        hidden: 129,
        experts,
        dispatch: { dtype: 'fp8e4m3' },
        columns: [{ name: 'x', dtype: 'i32', width: 3 }],
      }),
    ).toEqual(['hidden fp8e4m3 129', 'scales f32 2', 'experts i32 2', 'weights f32 2', 'x i32 3']);
    expect(replyType(resolveLayout({ ...least, dispatch: { dtype: 'u8' }, combine: 'none' }))).toBe('u8');
    expect(replyType(resolveLayout({ ...least, dispatch: { dtype: 'f32' } }))).toBe('bf16');
  });
});

describe('a wrong layout names the field', () => {
  const notAnInteger = ['1', 1.5, Number.NaN, Infinity, null, {}, true];
  const column = { name: 'a', dtype: 'u8', width: 1 };
  const cases: [field: string, values: unknown[], make: (value: unknown) => unknown][] = [
    ['layout', [null, undefined, 3, 'x'], (value) => value],
    ['layout.hidden', [0, -1, 2 ** 24 + 1, undefined, ...notAnInteger], (hidden) => ({ ...least, hidden })],
    [
      'layout.maxTokens',
      [0, -1, 2 ** 20, undefined, ...notAnInteger],
      (maxTokens) => ({ ...least, maxTokens }),
    ],
    [
      'layout.depth',
      [0, 1, 1025, ...notAnInteger.filter((x) => x !== null)],
      (depth) => ({ ...least, depth }),
    ],
    ['layout.metaBytes', [-1, 65_536, 0.5, '1', {}], (metaBytes) => ({ ...least, metaBytes })],
    ['layout.combine', ['avg', 1, null], (combine) => ({ ...least, combine })],
    ['layout.dispatch', [null, 'all', 1], (dispatch) => ({ ...least, dispatch })],
    ['layout.dispatch.dtype', ['f16', 1, 'i32'], (dtype) => ({ ...least, dispatch: { dtype } })],
    ['layout.dispatch.mode', ['some', 1], (mode) => ({ ...least, dispatch: { mode } })],
    [
      'layout.dispatch.powerOfTwoScales',
      ['yes', 1, null],
      (powerOfTwoScales) => ({ ...least, dispatch: { powerOfTwoScales } }),
    ],
    ['layout.experts', [null, 3, 'x'], (value) => ({ ...least, experts: value })],
    [
      'layout.experts.count',
      [0, 2 ** 20 + 1, undefined, ...notAnInteger],
      (count) => ({ ...least, experts: { count, topK: 1 } }),
    ],
    [
      'layout.experts.topK',
      [0, 5, undefined, ...notAnInteger],
      (topK) => ({ ...least, experts: { count: 4, topK } }),
    ],
    [
      'layout.experts.placement',
      [
        [],
        [0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, -1],
        [0, 0, 0, 0.5],
        [0, 0, 0, 'x'],
        'xxxx',
        null,
        [0, 0, 0, 65_535],
        [0, 0, 0, []],
        [0, 0, 0, [1, -1]],
        [0, 0, 0, null],
        7,
      ],
      (placement) => ({ ...least, experts: { ...experts, placement } }),
    ],
    ['layout.columns', [null, 3, 'x', {}], (columns) => ({ ...least, columns })],
    ['layout.columns[1]', [null, 3], (value) => ({ ...least, columns: [column, value] })],
    ['layout.columns[0].name', ['', 3, undefined], (name) => ({ ...least, columns: [{ ...column, name }] })],
    [
      'layout.columns[0].dtype',
      ['f64', undefined, 1, 'toString'],
      (dtype) => ({ ...least, columns: [{ ...column, dtype }] }),
    ],
    [
      'layout.columns[0].width',
      [0, 2 ** 20 + 1, undefined, '1'],
      (width) => ({ ...least, columns: [{ ...column, width }] }),
    ],
    // Names that are taken.
    [
      'layout.columns',
      ['hidden', 'scales', 'experts', 'weights', 'meta', 'other'],
      (name) => ({
        ...least,
        columns: [
          { ...column, name: 'other' },
          { ...column, name },
        ],
      }),
    ],
  ];

  it.each(cases)('%s', async (field, values, make) => {
    for (const value of values) await refuses(field, () => resolveLayout(make(value) as ExchangeLayout));
  });

  it('fields that there are none of, which may be misspelled', async () => {
    const column = { name: 'a', dtype: 'u8', width: 1 };
    const misspelled: [field: string, layout: object][] = [
      ['layout.dept', { ...least, dept: 2 }],
      ['layout.dispatch.type', { ...least, dispatch: { type: 'f32' } }],
      ['layout.experts.top_k', { ...least, experts: { ...experts, top_k: 2 } }],
      ['layout.columns[0].size', { ...least, columns: [{ ...column, size: 4 }] }],
    ];
    for (const [field, layout] of misspelled)
      await refuses(field, () => resolveLayout(layout as ExchangeLayout));
  });

  it('fields that do not go together', async () => {
    await refuses('layout.experts', () => resolveLayout({ ...least, combine: 'weighted' }));
    await refuses('layout.experts', () => resolveLayout({ ...least, dispatch: { mode: 'routed' } }));
    await refuses('layout.combine', () => resolveLayout({ ...least, dispatch: { dtype: 'u8' } }));
  });

  it('slots that would be too large', async () => {
    const many = { hidden: 1, maxTokens: 2 ** 19, experts: { count: 4, topK: 2 } };
    await refuses('layout.maxTokens * layout.experts.topK', () => resolveLayout(many));
    await refuses('layout.maxTokens', () => resolveLayout({ hidden: 2 ** 20, maxTokens: 2 ** 10 }));
    const columns = [{ name: 'wide', dtype: 'f32' as const, width: 2 ** 20 }];
    await refuses('layout.maxTokens', () => resolveLayout({ hidden: 1, maxTokens: 512, columns }));
    // It fits as it is sent, but not as it is replied: once for each selection.
    const wide = { hidden: 2 ** 20, maxTokens: 512, experts: { count: 4, topK: 4 } };
    await refuses('layout.maxTokens', () => resolveLayout({ ...wide, combine: 'weighted' }));
    expect(resolveLayout({ ...wide, combine: 'sum' }).maxTokens).toBe(512);
  });
});

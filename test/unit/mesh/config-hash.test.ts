import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ConfigObject,
  canonicalJson,
  configHash,
  diffConfig,
  toConfigObject,
} from '../../../src/mesh/config-hash.js';
import { failure } from './helpers.js';

const text = fc.string({ unit: 'grapheme' }).filter((s) => s !== '__proto__');
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const object = fc.dictionary(text, value, {
  maxKeys: 5,
  noNullPrototype: true,
}) as fc.Arbitrary<ConfigObject>;

/** The same object with every object's keys in another order. */
function reversed(given: unknown): unknown {
  if (Array.isArray(given)) return given.map(reversed);
  if (typeof given !== 'object' || given === null) return given;
  return Object.fromEntries(
    Object.entries(given)
      .reverse()
      .map(([k, v]) => [k, reversed(v)]),
  );
}

describe('canonical configuration', () => {
  it('is JSON of the same value', () => {
    fc.assert(
      fc.property(object, (config) => {
        expect(JSON.parse(canonicalJson(toConfigObject(config)))).toEqual(JSON.parse(JSON.stringify(config)));
      }),
    );
  });

  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(object, (config) => {
        const other = reversed(config) as object;
        expect(configHash(other)).toEqual(configHash(config));
        expect(diffConfig(config, other)).toEqual([]);
      }),
    );
  });

  it('has equal hashes exactly when there is no difference', () => {
    fc.assert(
      fc.property(object, object, (a, b) => {
        expect(configHash(a).equals(configHash(b))).toBe(diffConfig(a, b).length === 0);
      }),
    );
  });

  it('is the SHA-256 of sorted JSON, without fields that are undefined', () => {
    const sha256 = createHash('sha256').update('{"a":{"c":[1,-0.5],"d":null},"b":"é"}').digest();
    expect(configHash({ b: 'é', a: { d: null, c: [1, -0.5], x: undefined }, y: undefined })).toEqual(sha256);
  });

  it('accepts an interface-typed object and -0', () => {
    expect(canonicalJson(toConfigObject({ zero: -0 }))).toBe('{"zero":0}');
  });

  it.each([
    ['NaN', { a: { b: Number.NaN } }, 'config.a.b'],
    ['typed arrays', { a: [new Uint8Array(1)] }, 'config.a.0'],
    ['undefined in an array', { a: [undefined] }, 'config.a.0'],
    ['functions', { f: () => 1 }, 'config.f'],
    ['bigint', { f: 1n }, 'config.f'],
    ['dates', { f: new Date(0) }, 'config.f'],
    ['lone surrogates', { f: '\ud800' }, 'config.f'],
    ['an own __proto__', JSON.parse('{"__proto__": 1}'), 'config'],
    ['arrays', [1], 'config'],
  ])('refuses %s, naming the path', async (_, config, path) => {
    const error = await failure((async () => configHash(config))(), 'WEFT_INVALID_ARGUMENT');
    expect(error.details?.argument).toBe(path);
  });

  it('refuses cycles', async () => {
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    await failure((async () => configHash(loop))(), 'WEFT_INVALID_ARGUMENT');
  });
});

describe('diffConfig', () => {
  it('lists dotted paths with both values', () => {
    const ours = {
      hidden: 7168,
      experts: { topK: 8, count: 256 },
      columns: [{ name: 'a', width: 1 }],
      only: 1,
    };
    const theirs = {
      hidden: 4096,
      experts: { topK: 8, count: 128 },
      columns: [{ name: 'a', width: 2 }, 'x'],
      also: [],
    };
    expect(diffConfig(ours, theirs)).toEqual([
      { field: 'hidden', ours: 7168, theirs: 4096 },
      { field: 'experts.count', ours: 256, theirs: 128 },
      { field: 'columns.0.width', ours: 1, theirs: 2 },
      { field: 'columns.1', theirs: 'x' },
      { field: 'only', ours: 1 },
      { field: 'also', theirs: [] },
    ]);
  });

  it('tells containers of different kinds apart', () => {
    expect(diffConfig({ a: [] }, { a: {} })).toEqual([{ field: 'a', ours: [], theirs: {} }]);
    expect(diffConfig({ a: {} }, {})).toEqual([{ field: 'a', ours: {} }]);
  });
});

/** Arrays over a SharedArrayBuffer are taken like any others: the bytes are the same, whatever the memory. */
import { dequantize, fromBf16, type Mesh, quantize, type TypedArray, toBf16 } from 'tensorweft';
import { openRig, type Rig, rejects, workload } from 'tensorweft/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { same } = workload;
const HIDDEN = 131; // with a second, smaller group of channels, and rows that begin anywhere
const TOKENS = 3;

/** The same elements in shared memory, behind `before` others; with `growable`, of a buffer that may grow. */
function shared<T extends TypedArray>(array: T, before = 3, growable = false): T {
  const size = array.BYTES_PER_ELEMENT;
  const bytes = (before + array.length) * size;
  const Kind = array.constructor as new (buffer: ArrayBufferLike, at: number, length: number) => T;
  const buffer = growable
    ? Reflect.construct(SharedArrayBuffer, [bytes, { maxByteLength: 2 * bytes }])
    : new SharedArrayBuffer(bytes);
  const copy = new Kind(buffer as SharedArrayBuffer, before * size, array.length);
  copy.set(array);
  return copy;
}

const fp32 = Float32Array.from({ length: TOKENS * HIDDEN }, (_, i) => Math.sin(i) * (1 + (i % 7)));
const bf16 = toBf16(fp32);
const sources = [
  ['fp32', fp32],
  ['bf16', bf16],
] as const;

it('conversions read and write it', () => {
  expect(shared(fp32).buffer).toBeInstanceOf(SharedArrayBuffer);
  const [narrow, wide] = [shared(new Uint16Array(bf16.length)), shared(new Float32Array(bf16.length), 1)];
  same('narrowed', toBf16(shared(fp32)), bf16);
  same('narrowed, out', toBf16(shared(fp32, 1), narrow), bf16);
  same('widened, out', fromBf16(shared(bf16), wide), fromBf16(bf16));
  for (const [name, source] of sources) {
    const expected = quantize(source, HIDDEN, { powerOfTwo: true });
    const { hidden, scales } = quantize(shared(source), HIDDEN, { powerOfTwo: true });
    same(`${name}: codes`, hidden, expected.hidden);
    same(`${name}: scales`, scales, expected.scales);
    const rows = { hidden: shared(hidden), scales: shared(scales) };
    same(
      `${name}: back`,
      dequantize(rows, HIDDEN, wide),
      dequantize(expected, HIDDEN, new Float32Array(fp32.length)),
    );
  }
});

describe.each(['bf16', 'fp8e4m3'] as const)('a round of %s', (dtype) => {
  const layout = { hidden: HIDDEN, maxTokens: TOKENS, dispatch: { dtype } };
  let rig: Rig;
  let attention: Mesh;
  let ffn: Mesh;
  beforeAll(async () => {
    rig = await openRig({ attention: 1, ffn: 1, layout }, { transports: ['loopback'] });
    [attention, ffn] = [rig.attention[0]!, rig.ffn[0]!];
  });
  afterAll(() => rig.close());

  it.each([false, true])('is filled, collected and replied to from it; growable: %j', async (growable) => {
    for (const [name, source] of sources) {
      const meta = Uint8Array.from([5, 6, 7]);
      const slot = attention.attention.claim({ tokens: TOKENS, meta: shared(meta, 1, growable) });
      const fill = (rows: typeof source, first: number): void =>
        dtype === 'bf16' ? slot.write(rows, first) : slot.quantize(rows, first);
      slot.hidden.fill(0);
      fill(shared(source.subarray(HIDDEN), 3, growable), 1);
      fill(shared(source.subarray(0, HIDDEN), 1, growable), 0);
      const combining = slot.dispatch().combine();

      const batch = (await ffn.ffn.next())!;
      const expected = dtype === 'bf16' ? { hidden: bf16 } : quantize(source, HIDDEN);
      same(`${name}: meta`, batch.parts[0]!.meta, meta);
      const into = shared(new (expected.hidden.constructor as typeof Uint8Array)(fp32.length), 5, growable);
      same(`${name}: rows`, batch.contiguous('hidden', into), expected.hidden);
      if ('scales' in expected) same(`${name}: scales`, batch.contiguous('scales'), expected.scales);
      const outputs = toBf16(fp32.map((x) => x * 3));
      batch.replyFrom(shared(outputs, 3, growable));
      same(`${name}: result`, (await combining).data, outputs);
    }
  });

  it('is not combined into it: results go to memory of the mesh', async () => {
    const round = attention.attention.claim({ tokens: 0 }).dispatch();
    const foreign = { code: 'WEFT_FOREIGN_BUFFER', phase: 'combine' } as const;
    const into = shared(new Uint16Array(TOKENS * HIDDEN)) as never;
    const error = await rejects(round.combine({ into }), foreign.code, { phase: foreign.phase });
    expect(error.details).toEqual({ argument: 'into' });
    (await ffn.ffn.next())!.reply();
    await round.combine();
  });

  it('is refused like others of the wrong type or size, naming it', async () => {
    const slot = attention.attention.claim({ tokens: TOKENS });
    const fill = (rows: unknown): void => slot[dtype === 'bf16' ? 'write' : 'quantize'](rows as never);
    await rejects(() => fill(new SharedArrayBuffer(2 * HIDDEN)), 'WEFT_DTYPE', { phase: 'dispatch' });
    await rejects(() => fill(shared(new Float64Array(HIDDEN) as never)), 'WEFT_DTYPE', { phase: 'dispatch' });
    await rejects(() => fill(shared(new Uint16Array(HIDDEN - 1))), 'WEFT_INVALID_ARGUMENT');
    const many = shared(new Uint16Array((TOKENS + 1) * HIDDEN));
    expect((await rejects(() => fill(many), 'WEFT_TOO_MANY_TOKENS')).details).toMatchObject({
      argument: 'src',
    });
    slot.abandon();
  });
});

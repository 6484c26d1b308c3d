import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encode } from '../../../src/mesh/codec.js';
import { parseClientMessage, parseServerMessage } from '../../../src/mesh/messages.js';
import { dataProof } from '../../../src/mesh/proof.js';
import {
  type ControlVectors,
  controlVectors,
  fromJson,
  hex,
  toJson,
} from '../../conformance/control-vectors.js';
import { failure } from './helpers.js';

const file = new URL('../../conformance/vectors/control.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as ControlVectors;
const bytes = (text: string): Buffer => Buffer.from(text, 'hex');

describe('committed vectors of the control protocol', () => {
  it('are what the generator makes', () => {
    expect(JSON.parse(JSON.stringify(controlVectors()))).toEqual(vectors);
  });

  it.each(vectors.messages)('$name', ({ from, hex: frame, message }) => {
    expect(hex(encode(fromJson(message)))).toBe(frame);
    const parse = from === 'client' ? parseClientMessage : parseServerMessage;
    expect(toJson(parse(bytes(frame)))).toEqual(message);
  });

  it.each(vectors.messages)('$name: with an unknown field it is refused', async ({ from, message }) => {
    const frame = encode({ ...(fromJson(message) as object), extra: 1 });
    const parse = from === 'client' ? parseClientMessage : parseServerMessage;
    await failure((async () => parse(frame))(), 'WEFT_PROTOCOL');
  });

  it.each(vectors.messages)('$name: is not a message of the other side', async ({ from, hex: frame }) => {
    const parse = from === 'client' ? parseServerMessage : parseClientMessage;
    await failure((async () => parse(bytes(frame)))(), 'WEFT_PROTOCOL');
  });

  it.each(vectors.malformed)('malformed: $name', async ({ hex: frame }) => {
    await failure((async () => parseClientMessage(bytes(frame)))(), 'WEFT_PROTOCOL');
    await failure((async () => parseServerMessage(bytes(frame)))(), 'WEFT_PROTOCOL');
  });

  it.each(vectors.dataProof)('data proof, epoch $epoch, $from to $to', ({ proof, ...input }) => {
    const binary = {
      meshId: bytes(input.meshId),
      fromNonce: bytes(input.fromNonce),
      toNonce: bytes(input.toNonce),
    };
    expect(hex(dataProof({ ...input, ...binary, epoch: BigInt(input.epoch) }))).toBe(proof);
  });
});

// The data plane's messages, written a second time: from the protocol's description, without the addon, so that the
// two readings check each other. Everything is little-endian.

export interface HelloFields {
  kind: number;
  meshId: string;
  epoch: string;
  from: number;
  to: number;
  configHash: string;
  proof: string;
  arenaBytes: string;
  reason: number;
}

export interface FrameFields {
  kind: number;
  flags: number;
  generation: string;
  epoch: number;
  publication: number;
  destination: number;
  rows: number;
  taken: number;
  first: number;
  count: number;
  finalRows: number;
  tag: number;
  metaBytes: number;
}

/** What follows a frame's header: `rows` has, for each column by its number, the rows that the frame carries. */
export interface FrameBody {
  list: number[];
  meta: string;
  rows: string[];
}

export interface Shape {
  depth: number;
  maxRows: number;
  destinations: number;
  lists: boolean;
  metaCapacity: number;
  columnBytes: number[];
  /** Numbers of the columns that lead. */
  leading: number[];
}

/** Byte offsets from the publication's start; per slot, and within it per destination or column. */
export interface Layout {
  bytes: number;
  heads: number[];
  metas: number[];
  lists: number[][];
  columns: number[][];
}

export const HELLO_BYTES = 128;
export const FRAME_BYTES = 64;
export const BEGIN = 1;
export const ROUTED = 2;
export const GOODBYE = 2;

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** CRC-32C, bit by bit. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

export function encodeHello(hello: HelloFields): Buffer {
  const b = Buffer.alloc(HELLO_BYTES);
  b.write('TWHI', 0, 'latin1');
  b.writeUInt16LE(1, 4);
  b.writeUInt16LE(hello.kind, 6);
  hex(hello.meshId).copy(b, 8);
  b.writeBigUInt64LE(BigInt(hello.epoch), 24);
  b.writeUInt32LE(hello.from, 32);
  b.writeUInt32LE(hello.to, 36);
  hex(hello.configHash).copy(b, 40);
  hex(hello.proof).copy(b, 72);
  b.writeBigUInt64LE(BigInt(hello.arenaBytes), 104);
  b.writeUInt32LE(hello.reason, 112);
  b.writeUInt32LE(crc32c(b.subarray(0, 116)), 116);
  return b;
}

export function decodeHello(b: Buffer): HelloFields {
  if (b.length !== HELLO_BYTES || b.toString('latin1', 0, 4) !== 'TWHI' || b.readUInt16LE(4) !== 1)
    throw new Error('not a hello of version 1');
  if (b.readUInt32LE(116) !== crc32c(b.subarray(0, 116))) throw new Error('checksum');
  return {
    kind: b.readUInt16LE(6),
    meshId: b.toString('hex', 8, 24),
    epoch: String(b.readBigUInt64LE(24)),
    from: b.readUInt32LE(32),
    to: b.readUInt32LE(36),
    configHash: b.toString('hex', 40, 72),
    proof: b.toString('hex', 72, 104),
    arenaBytes: String(b.readBigUInt64LE(104)),
    reason: b.readUInt32LE(112),
  };
}

/** Column numbers in the order of a frame's body. */
function bodyOrder({ columnBytes, leading }: Shape, begin: boolean): number[] {
  const others = [...columnBytes.keys()].filter((c) => !leading.includes(c));
  return begin ? [...leading, ...others] : others;
}

/** `shape`: of the publication that the frame belongs to. */
export function encodeFrame(frame: FrameFields, body: FrameBody, shape: Shape): Buffer {
  const list = Buffer.alloc(body.list.length * 4);
  for (const [i, row] of body.list.entries()) list.writeUInt32LE(row, i * 4);
  const behind = Buffer.concat([
    list,
    hex(body.meta),
    ...bodyOrder(shape, (frame.flags & BEGIN) !== 0).map((c) => hex(body.rows[c] ?? '')),
  ]);
  const b = Buffer.alloc(FRAME_BYTES);
  b.write('TWFR', 0, 'latin1');
  b.writeUInt8(1, 4);
  b.writeUInt8(frame.kind, 5);
  b.writeUInt16LE(frame.flags, 6);
  b.writeBigUInt64LE(BigInt(frame.generation), 8);
  b.writeUInt32LE(frame.epoch, 16);
  b.writeUInt16LE(frame.publication, 20);
  b.writeUInt16LE(frame.destination, 22);
  for (const [i, value] of [frame.rows, frame.taken, frame.first, frame.count].entries())
    b.writeUInt32LE(value, 24 + i * 4);
  b.writeUInt32LE(frame.finalRows, 40);
  b.writeUInt32LE(frame.tag, 44);
  b.writeUInt16LE(frame.metaBytes, 48);
  b.writeUInt32LE(behind.length, 52);
  b.writeUInt32LE(crc32c(b.subarray(0, 60)), 60);
  return Buffer.concat([b, behind]);
}

export function decodeFrame(b: Buffer, shape: Shape): { frame: FrameFields; body: FrameBody } {
  if (b.toString('latin1', 0, 4) !== 'TWFR' || b.readUInt8(4) !== 1)
    throw new Error('not a frame of version 1');
  if (b.readUInt32LE(60) !== crc32c(b.subarray(0, 60))) throw new Error('checksum');
  if (b.readUInt32LE(52) !== b.length - FRAME_BYTES) throw new Error('size');
  const frame: FrameFields = {
    kind: b.readUInt8(5),
    flags: b.readUInt16LE(6),
    generation: String(b.readBigUInt64LE(8)),
    epoch: b.readUInt32LE(16),
    publication: b.readUInt16LE(20),
    destination: b.readUInt16LE(22),
    rows: b.readUInt32LE(24),
    taken: b.readUInt32LE(28),
    first: b.readUInt32LE(32),
    count: b.readUInt32LE(36),
    finalRows: b.readUInt32LE(40),
    tag: b.readUInt32LE(44),
    metaBytes: b.readUInt16LE(48),
  };
  let at = FRAME_BYTES;
  const take = (bytes: number): Buffer => {
    at += bytes;
    return b.subarray(at - bytes, at);
  };
  const list: number[] = [];
  if (frame.flags === (BEGIN | ROUTED))
    for (let i = 0; i < frame.taken; i++) list.push(take(4).readUInt32LE(0));
  const meta = frame.flags & BEGIN ? take(frame.metaBytes).toString('hex') : '';
  const rows = frame.kind === GOODBYE ? [] : shape.columnBytes.map(() => '');
  if (frame.kind !== GOODBYE)
    for (const c of bodyOrder(shape, (frame.flags & BEGIN) !== 0)) {
      const count = shape.leading.includes(c) ? frame.taken : frame.count;
      rows[c] = take(shape.columnBytes[c]! * count).toString('hex');
    }
  if (at !== b.length) throw new Error('body');
  return { frame, body: { list, meta, rows } };
}

export function stateWord(generation: bigint, rows: number): bigint {
  return generation * 1048576n + BigInt(rows);
}

const up = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

export function layoutOf(shape: Shape): Layout {
  const sizes = shape.columnBytes.map((width) => width * shape.maxRows);
  const inHead: number[] = [];
  let headEnd = 0;
  for (const size of sizes) {
    inHead.push(up(headEnd, 8));
    headEnd = up(headEnd, 8) + size;
  }
  const inline = headEnd <= 40;
  const listStride = up(64 + 4 * shape.maxRows, 128);
  const listsAt = up(shape.metaCapacity, 128);
  let bodyEnd = listsAt + (shape.lists ? shape.destinations * listStride : 0);
  const inBody: number[] = [];
  for (const size of inline ? [] : sizes) {
    inBody.push(up(bodyEnd, size >= 4096 ? 4096 : 128));
    bodyEnd = up(bodyEnd, size >= 4096 ? 4096 : 128) + size;
  }
  const bodiesAt = up(shape.depth * 128, 4096);
  const bodyBytes = up(bodyEnd, 4096);
  const slots = Array.from({ length: shape.depth }, (_, slot) => ({
    head: slot * 128,
    body: bodiesAt + slot * bodyBytes,
  }));
  const destinations = shape.lists ? shape.destinations : 0;
  return {
    bytes: bodiesAt + shape.depth * bodyBytes,
    heads: slots.map(({ head }) => head),
    metas: slots.map(({ body }) => body),
    lists: slots.map(({ body }) =>
      Array.from({ length: destinations }, (_, d) => body + listsAt + d * listStride),
    ),
    columns: slots.map(({ head, body }) =>
      inline ? inHead.map((at) => head + 24 + at) : inBody.map((at) => body + at),
    ),
  };
}

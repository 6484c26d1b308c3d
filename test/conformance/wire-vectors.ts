import {
  BEGIN,
  crc32c,
  encodeFrame,
  encodeHello,
  type FrameBody,
  type FrameFields,
  GOODBYE,
  type HelloFields,
  type Layout,
  layoutOf,
  ROUTED,
  type Shape,
  stateWord,
} from './wire-codec.js';

/** The file vectors/wire.json: what any implementation of the data plane must write and read. */
export interface WireVectors {
  about: string;
  crc32c: { hex: string; crc: number }[];
  hellos: { name: string; fields: HelloFields; hex: string }[];
  /** In each the frames follow each other, and carry rows of a publication of this shape. */
  streams: {
    shape: Shape;
    frames: { name: string; fields: FrameFields; body: FrameBody; hex: string }[];
  }[];
  publications: { name: string; shape: Shape; layout: Layout }[];
  stateWords: { generation: string; rows: number; word: string }[];
}

/** `length` bytes, each the one before plus one, in hex. */
function ramp(first: number, length: number): string {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (first + i) & 0xff)).toString('hex');
}

function hellos(): WireVectors['hellos'] {
  const base: HelloFields = {
    kind: 1,
    meshId: ramp(0x00, 16),
    epoch: '72623859790382856', // 0x0102030405060708
    from: 1,
    to: 2,
    configHash: ramp(0x20, 32),
    proof: ramp(0x80, 32),
    arenaBytes: '0',
    reason: 0,
  };
  const zero = '00'.repeat(32);
  const all: [string, HelloFields][] = [
    ['hello', base],
    ['accept over shared memory', { ...base, kind: 2, from: 2, to: 1, arenaBytes: '1099511627776' }],
    ['ready', { ...base, kind: 3, from: 4294967295, to: 65536, epoch: '18446744073709551615' }],
    [
      'reject',
      {
        ...base,
        kind: 4,
        meshId: '00'.repeat(16),
        epoch: '0',
        from: 0,
        to: 0,
        configHash: zero,
        proof: zero,
        reason: 8,
      },
    ],
  ];
  return all.map(([name, fields]) => ({ name, fields, hex: encodeHello(fields).toString('hex') }));
}

const streamShape: Shape = {
  depth: 3,
  maxRows: 8,
  destinations: 4,
  lists: true,
  metaCapacity: 16,
  columnBytes: [4, 1],
  leading: [],
};

/** As rows with choices: the middle columns lead. */
const leadingShape: Shape = { ...streamShape, columnBytes: [4, 2, 1, 1], leading: [1, 2] };

type Frames = WireVectors['streams'][number]['frames'];
type NamedFrame = [name: string, fields: FrameFields, body: FrameBody];

function frames(): Frames {
  const base: FrameFields = {
    kind: 1,
    flags: BEGIN,
    generation: '1',
    epoch: 0xfedcba98,
    publication: 5,
    destination: 2,
    rows: 5,
    taken: 5,
    first: 0,
    count: 2,
    finalRows: 2,
    tag: 0xcafef00d,
    metaBytes: 3,
  };
  const none: FrameBody = { list: [], meta: '', rows: ['', ''] };
  const all: NamedFrame[] = [
    ['begin all', base, { list: [], meta: 'a1a2a3', rows: [ramp(0x10, 8), ramp(0x60, 2)] }],
    [
      'continuation',
      { ...base, flags: 0, first: 2, count: 3, finalRows: 5 },
      { ...none, rows: [ramp(0x18, 12), ramp(0x62, 3)] },
    ],
    [
      'begin routed with list and metadata',
      {
        ...base,
        flags: BEGIN | ROUTED,
        generation: '2',
        rows: 8,
        taken: 3,
        count: 3,
        finalRows: 8,
        tag: 1,
        metaBytes: 16,
      },
      { list: [0, 3, 7], meta: ramp(0xf0, 16), rows: [ramp(0x20, 12), ramp(0x70, 3)] },
    ],
    [
      'announcement without rows',
      {
        ...base,
        flags: BEGIN | ROUTED,
        generation: '3',
        rows: 6,
        taken: 2,
        count: 0,
        finalRows: 0,
        tag: 0,
        metaBytes: 0,
      },
      { ...none, list: [4, 5] },
    ],
    [
      'watermark without rows',
      {
        ...base,
        flags: ROUTED,
        generation: '3',
        rows: 6,
        taken: 2,
        count: 0,
        finalRows: 4,
        tag: 0,
        metaBytes: 0,
      },
      none,
    ],
    [
      'last rows of a routed round',
      {
        ...base,
        flags: ROUTED,
        generation: '3',
        rows: 6,
        taken: 2,
        count: 2,
        finalRows: 6,
        tag: 0,
        metaBytes: 0,
      },
      { ...none, rows: [ramp(0x30, 8), ramp(0x80, 2)] },
    ],
    [
      'goodbye',
      {
        ...base,
        kind: GOODBYE,
        flags: 0,
        generation: '0',
        publication: 0,
        destination: 0,
        rows: 0,
        taken: 0,
        count: 0,
        finalRows: 0,
        tag: 0,
        metaBytes: 0,
      },
      { ...none, rows: [] },
    ],
  ];
  return encoded(all, streamShape);
}

function leadingFrames(): Frames {
  const base: FrameFields = {
    kind: 1,
    flags: BEGIN | ROUTED,
    generation: '1',
    epoch: 0xfedcba98,
    publication: 5,
    destination: 2,
    rows: 7,
    taken: 4,
    first: 0,
    count: 0,
    finalRows: 1,
    tag: 9,
    metaBytes: 2,
  };
  const whole: FrameFields = {
    ...base,
    flags: BEGIN,
    generation: '2',
    rows: 3,
    taken: 3,
    count: 3,
    finalRows: 3,
  };
  const all: NamedFrame[] = [
    [
      'all rows of what leads, none of the rest',
      base,
      { list: [1, 2, 5, 6], meta: 'b1b2', rows: ['', ramp(0x10, 8), ramp(0x20, 4), ''] },
    ],
    [
      'rows without what leads',
      { ...base, flags: ROUTED, count: 3, finalRows: 6 },
      { list: [], meta: '', rows: [ramp(0x30, 12), '', '', ramp(0x50, 3)] },
    ],
    [
      'the last row',
      { ...base, flags: ROUTED, first: 3, count: 1, finalRows: 7 },
      { list: [], meta: '', rows: [ramp(0x3c, 4), '', '', ramp(0x53, 1)] },
    ],
    [
      'a round in one frame',
      whole,
      { list: [], meta: 'c1c2', rows: [ramp(0x60, 12), ramp(0x70, 6), ramp(0x80, 3), ramp(0x90, 3)] },
    ],
  ];
  return encoded(all, leadingShape);
}

function encoded(frames: NamedFrame[], shape: Shape): Frames {
  return frames.map(([name, fields, body]) => ({
    name,
    fields,
    body,
    hex: encodeFrame(fields, body, shape).toString('hex'),
  }));
}

function publications(): WireVectors['publications'] {
  const shapes: [string, Shape][] = [
    ['the first stream above', streamShape],
    ['the second stream above', leadingShape],
    [
      'step3 dispatch',
      {
        depth: 3,
        maxRows: 128,
        destinations: 2,
        lists: false,
        metaCapacity: 256,
        columnBytes: [7168, 224],
        leading: [],
      },
    ],
    [
      'step3 reply',
      {
        depth: 3,
        maxRows: 128,
        destinations: 1,
        lists: false,
        metaCapacity: 0,
        columnBytes: [14336],
        leading: [],
      },
    ],
    [
      'deepep-decode dispatch',
      {
        depth: 2,
        maxRows: 128,
        destinations: 8,
        lists: true,
        metaCapacity: 256,
        columnBytes: [7168, 224, 32, 32],
        leading: [2, 3],
      },
    ],
    [
      'inline',
      {
        depth: 5,
        maxRows: 2,
        destinations: 1,
        lists: false,
        metaCapacity: 0,
        columnBytes: [4, 1, 8],
        leading: [],
      },
    ],
    [
      'one byte too many for inline',
      {
        depth: 2,
        maxRows: 1,
        destinations: 1,
        lists: false,
        metaCapacity: 0,
        columnBytes: [40, 1],
        leading: [],
      },
    ],
    [
      'odd widths',
      {
        depth: 4,
        maxRows: 77,
        destinations: 3,
        lists: true,
        metaCapacity: 65535,
        columnBytes: [1, 258, 4, 4, 53],
        leading: [],
      },
    ],
    [
      'more heads than a page',
      {
        depth: 40,
        maxRows: 3,
        destinations: 1,
        lists: true,
        metaCapacity: 1,
        columnBytes: [100],
        leading: [],
      },
    ],
  ];
  return shapes.map(([name, shape]) => ({ name, shape, layout: layoutOf(shape) }));
}

function stateWords(): WireVectors['stateWords'] {
  const pairs: [bigint, number][] = [
    [1n, 0],
    [1n, 1],
    [2n, 1048575],
    [1234567890123n, 4096],
    [17592186044415n, 1048575],
  ];
  return pairs.map(([generation, rows]) => ({
    generation: String(generation),
    rows,
    word: String(stateWord(generation, rows)),
  }));
}

export function wireVectors(): WireVectors {
  const data = ['', Buffer.from('123456789').toString('hex'), ramp(0, 32), ramp(1, 60), ramp(7, 116)];
  return {
    about:
      'Vectors of the tensorweft data plane, version 1. 64-bit numbers are strings. Made by make-wire-vectors.mjs.',
    crc32c: data.map((hex) => ({ hex, crc: crc32c(Buffer.from(hex, 'hex')) })),
    hellos: hellos(),
    streams: [
      { shape: streamShape, frames: frames() },
      { shape: leadingShape, frames: leadingFrames() },
    ],
    publications: publications(),
    stateWords: stateWords(),
  };
}

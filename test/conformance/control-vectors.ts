import { encode } from '../../src/mesh/codec.js';
import { canonicalJson, configHash, toConfigObject } from '../../src/mesh/config-hash.js';
import type { ControlMessage } from '../../src/mesh/messages.js';
import { clientProof, dataProof, serverProof } from '../../src/mesh/proof.js';
import type { EndpointDescriptor, Member } from '../../src/mesh/roster.js';

/** The file vectors/control.json: what any implementation of the control protocol must write and read. */
export interface ControlVectors {
  about: string;
  messages: { name: string; from: 'client' | 'coordinator'; hex: string; message: unknown }[];
  malformed: { name: string; hex: string }[];
  config: { config: unknown; canonical: string; sha256: string }[];
  controlProof: {
    token: string;
    meshId: string;
    serverNonce: string;
    clientNonce: string;
    client: string;
    server: string;
  }[];
  dataProof: {
    token: string;
    meshId: string;
    epoch: string;
    from: number;
    to: number;
    fromNonce: string;
    toNonce: string;
    proof: string;
  }[];
}

/** `length` bytes, each the one before plus one. */
export function ramp(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);
}

/** JSON for a message: bytes become {"$hex": "..."}. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $hex: hex(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toJson(field)]));
}

export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== 'object' || value === null) return value;
  if ('$hex' in value) return Uint8Array.from(Buffer.from(value.$hex as string, 'hex'));
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, fromJson(field)]));
}

const config = {
  hidden: 7168,
  maxTokens: 128,
  depth: 3,
  dispatch: { dtype: 'fp8e4m3', mode: 'routed' },
  experts: { count: 4, topK: 2, placement: [0, 0, 1, 1] },
  columns: [{ name: 'logits', dtype: 'f32', width: 1.5 }],
};
const endpoint: EndpointDescriptor = {
  host: '6f1c2b0e-3a5d-4c7e-9f10-1234567890ab',
  netns: 'net:[4026531840]',
  uid: 1000,
  pid: 4_194_304,
  transports: {
    shm: { socket: '@tensorweft-4194304-1' },
    tcp: { host: '10.0.0.7', port: 40_001 },
    verbs: { host: '10.0.0.7', port: 40_002, rails: 'mlx5_0:1:::ffff:10.0.0.7' },
    cuda: { address: ramp(0x80, 12), devices: 2 },
  },
};
const alone: EndpointDescriptor = { ...endpoint, pid: 77, transports: { loopback: { key: 'k' } } };
const members: Member[] = [
  { member: 0, role: 'attention', rank: 0, nonce: ramp(0x20, 32), endpoint },
  { member: 1, role: 'ffn', rank: 0, nonce: ramp(0x40, 32), endpoint: alone },
];

const samples: [name: string, message: ControlMessage][] = [
  ['challenge', { type: 'challenge', protocol: 1, meshId: ramp(0, 16), serverNonce: ramp(0x60, 32) }],
  ['prove', { type: 'prove', protocol: 1, clientNonce: ramp(0xa0, 32), proof: ramp(0xc0, 32) }],
  ['welcome', { type: 'welcome', proof: ramp(0xe0, 32) }],
  [
    'join, any rank',
    {
      type: 'join',
      role: 'ffn',
      nonce: ramp(0x40, 32),
      config: { hidden: 1 },
      configHash: configHash({ hidden: 1 }),
      endpoint: alone,
    },
  ],
  [
    'join, rank 2',
    {
      type: 'join',
      role: 'attention',
      rank: 2,
      nonce: ramp(0x20, 32),
      config: toConfigObject(config),
      configHash: configHash(config),
      endpoint,
    },
  ],
  [
    'accepted',
    { type: 'accepted', member: 3, rank: 1, attention: 2, ffn: 300, heartbeatMs: 2000, missedHeartbeats: 5 },
  ],
  ['waiting', { type: 'waiting', missing: { attention: [], ffn: [0, 2, 299] } }],
  ['roster', { type: 'roster', meshId: ramp(0, 16), epoch: 1, attention: 1, ffn: 1, members }],
  ['departed, left', { type: 'departed', member: 0, reason: 'left', epoch: 2 }],
  ['departed, lost', { type: 'departed', member: 300, reason: 'lost', epoch: 70_000 }],
  ['refused, token', { type: 'refused', code: 'WEFT_AUTH', reason: 'the token is not the one of this mesh' }],
  [
    'refused, configuration',
    {
      type: 'refused',
      code: 'WEFT_CONFIG_MISMATCH',
      reason: 'ü',
      fields: [
        { field: 'hidden', expected: 7168, given: 4096 },
        { field: 'experts', given: { count: 4, topK: 2 } },
        { field: 'depth', expected: 3 },
      ],
    },
  ],
  [
    'refused, deadline',
    { type: 'refused', code: 'WEFT_DEADLINE', reason: 'late', missing: { attention: [1], ffn: [] } },
  ],
  ['leave', { type: 'leave' }],
  ['agree', { type: 'agree', turn: 1, without: [] }],
  ['agree, without others', { type: 'agree', turn: 300, without: [0, 1023] }],
  ['withdraw', { type: 'withdraw', turn: 300 }],
  ['agreed', { type: 'agreed', turn: 300, epoch: 70_000 }],
  [
    'waiting, somebody turned away',
    {
      type: 'waiting',
      missing: { attention: [], ffn: [], ep: [1] },
      turnedAway: { role: 'ep', rank: 1, reason: 'ü' },
    },
  ],
  ['waiting, expert-parallel', { type: 'waiting', missing: { attention: [], ffn: [], ep: [1, 3] } }],
];

const fromClient = new Set(['prove', 'join', 'leave', 'agree', 'withdraw']);

const malformed: [name: string, hex: string][] = [
  ['empty', ''],
  ['cut string', 'a5616263'],
  ['bytes after the value', '8080'],
  ['key that is not a string', '810101'],
  ['key __proto__', '81a95f5f70726f746f5f5f80'],
  ['array that claims 4294967295 values', 'ddffffffff'],
  ['map that claims 4294967295 pairs', 'dfffffffff'],
  ['never used type c1', '81a174c1'],
  ['extension: record definition', 'd4724091a16107'],
  ['extension: undefined', '81a174d40000'],
  ['extension: typed array', 'c702740102'],
  ['extension: timestamp', 'd6ff00000000'],
  ['nested deeper than 24', `${'91'.repeat(25)}c0`],
];

const configs: unknown[] = [
  {},
  config,
  { b: 1, a: { d: null, c: [true, false, 'x'] }, '': 0 },
  { euro: '€', quote: '"\\\n\u0001', clef: '\u{1d11e}', é: 1, z: 2, '\ufb33': 3, '\u{1f600}': 4 },
  { numbers: [0.1, 1e21, 1e-7, 123456789012345680000, 4.5, -1, 2 ** 53, 5e-324] },
];

/** All vectors, from fixed inputs: the same bytes on every run. */
export function controlVectors(): ControlVectors {
  const proofInput = {
    token: 'weft-token-é',
    meshId: ramp(0, 16),
    serverNonce: ramp(0x60, 32),
    clientNonce: ramp(0xa0, 32),
  };
  const pair = {
    token: 'weft-token-é',
    meshId: ramp(0, 16),
    fromNonce: ramp(0x20, 32),
    toNonce: ramp(0x40, 32),
  };
  return {
    about:
      'Vectors of the tensorweft control protocol, version 1. Bytes within JSON are {"$hex": "..."}. Made by make-control-vectors.mjs.',
    messages: samples.map(([name, message]) => ({
      name,
      from: fromClient.has(message.type) ? 'client' : 'coordinator',
      hex: hex(encode(message)),
      message: toJson(message),
    })),
    malformed: malformed.map(([name, bytes]) => ({ name, hex: bytes })),
    config: configs.map((value) => ({
      config: value,
      canonical: canonicalJson(toConfigObject(value as object)),
      sha256: hex(configHash(value as object)),
    })),
    controlProof: [proofInput].map((input) => ({
      token: input.token,
      meshId: hex(input.meshId),
      serverNonce: hex(input.serverNonce),
      clientNonce: hex(input.clientNonce),
      client: hex(clientProof(input)),
      server: hex(serverProof(input)),
    })),
    dataProof: [
      { ...pair, epoch: 1n, from: 0, to: 3 },
      { ...pair, epoch: 1n, from: 3, to: 0, fromNonce: pair.toNonce, toNonce: pair.fromNonce },
      { ...pair, epoch: 0x0102_0304_0506_0708n, from: 0x0a0b_0c0d, to: 0xffff_ffff },
    ].map((input) => ({
      token: input.token,
      meshId: hex(input.meshId),
      epoch: String(input.epoch),
      from: input.from,
      to: input.to,
      fromNonce: hex(input.fromNonce),
      toNonce: hex(input.toNonce),
      proof: hex(dataProof(input)),
    })),
  };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

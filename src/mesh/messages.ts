import { z } from 'zod';
import { invalidArgument, WeftError } from '../errors.js';
import { decode } from './codec.js';
import type { ConfigObject, ConfigValue } from './config-hash.js';
import { toConfigObject } from './config-hash.js';
import {
  MAX_CHANNEL_NAME,
  MAX_MEMBERS,
  MAX_MISMATCHES,
  MAX_REASON,
  MESH_ID_BYTES,
  NONCE_BYTES,
  PROOF_BYTES,
  PROTOCOL_VERSION,
} from './limits.js';
import type { ClientMessage, RefusalCode, ServerMessage } from './message-types.js';

export { PROTOCOL_VERSION } from './limits.js';
export type * from './message-types.js';

/** Codes a `refused` message may carry. */
export const REFUSAL_CODES: readonly RefusalCode[] = [
  'WEFT_AUTH',
  'WEFT_CONFIG_MISMATCH',
  'WEFT_DEADLINE',
  'WEFT_INVALID_ARGUMENT',
  'WEFT_PROTOCOL',
  'WEFT_STATE',
];

const bytes = (length: number) =>
  z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.byteLength === length,
    `${length} bytes`,
  );
const natural = z.int().min(0);
const version = natural.max(0xffff_ffff);
const index = natural.max(MAX_MEMBERS - 1);
const count = z.int().min(1).max(MAX_MEMBERS);
const role = z.enum(['attention', 'ffn', 'ep']);
const ranks = z.array(index).max(MAX_MEMBERS);
const missing = z.strictObject({ attention: ranks, ffn: ranks, ep: ranks.exactOptional() });
// Attention and ffn ranks, or ep ranks.
const shape = {
  attention: natural.max(MAX_MEMBERS),
  ffn: natural.max(MAX_MEMBERS),
  ep: count.exactOptional(),
};
const text = z.string().max(MAX_REASON);

/** Plain already, by the frame gate; what JSON has no form for is refused here. */
const config = z.custom<ConfigObject>((value) => {
  try {
    return typeof value === 'object' && value !== null && Object.keys(toConfigObject(value)).length >= 0;
  } catch {
    return false;
  }
}, 'a JSON object');
const configValue = z.custom<ConfigValue>((value) => value !== undefined);

const address = z.record(
  z.string().max(64),
  z.union([z.string(), z.number(), z.boolean(), z.instanceof(Uint8Array)]),
);
const tcpAddress = z.strictObject({ host: z.string().min(1), port: z.int().min(1).max(65_535) });
const transports = z
  .object({
    shm: z.strictObject({ socket: z.string().min(1) }).exactOptional(),
    tcp: tcpAddress.exactOptional(),
    verbs: tcpAddress.extend({ rails: z.string().max(1024) }).exactOptional(),
    ucx: tcpAddress.exactOptional(),
    loopback: z.strictObject({ key: z.string().min(1) }).exactOptional(),
  })
  .catchall(address);
const endpoint = z.strictObject({
  host: z.string().min(1).max(256),
  netns: z.string().max(256),
  uid: natural,
  pid: natural,
  transports,
});
const member = z.strictObject({ member: index, role, rank: index, nonce: bytes(NONCE_BYTES), endpoint });

const prove = z.strictObject({
  type: z.literal('prove'),
  protocol: version,
  clientNonce: bytes(NONCE_BYTES),
  proof: bytes(PROOF_BYTES),
});
const join = z.strictObject({
  type: z.literal('join'),
  role,
  // Any integer: a rank out of range is answered in words, not as a malformed message.
  rank: z.int().exactOptional(),
  channel: z.string().max(MAX_CHANNEL_NAME).exactOptional(),
  nonce: bytes(NONCE_BYTES),
  config,
  configHash: bytes(32),
  endpoint,
});
const leave = z.strictObject({ type: z.literal('leave') });
const agree = z.strictObject({ type: z.literal('agree'), turn: natural, without: ranks });

const challenge = z.strictObject({
  type: z.literal('challenge'),
  protocol: version,
  meshId: bytes(MESH_ID_BYTES),
  serverNonce: bytes(NONCE_BYTES),
});
const welcome = z.strictObject({ type: z.literal('welcome'), proof: bytes(PROOF_BYTES) });
const accepted = z.strictObject({
  type: z.literal('accepted'),
  member: index,
  rank: index,
  ...shape,
  heartbeatMs: z.int().min(1),
  missedHeartbeats: z.int().min(1),
});
const turnedAway = z.strictObject({ role, rank: index.exactOptional(), reason: text });
const waiting = z.strictObject({
  type: z.literal('waiting'),
  missing,
  turnedAway: turnedAway.exactOptional(),
});
const roster = z.strictObject({
  type: z.literal('roster'),
  meshId: bytes(MESH_ID_BYTES),
  epoch: natural,
  ...shape,
  members: z.array(member).max(MAX_MEMBERS),
});
const departed = z.strictObject({
  type: z.literal('departed'),
  member: index,
  reason: z.enum(['left', 'lost']),
  epoch: natural,
});
const withdraw = z.strictObject({ type: z.literal('withdraw'), turn: natural });
const agreed = z.strictObject({ type: z.literal('agreed'), turn: natural, epoch: natural });
const mismatch = z.strictObject({
  field: z.string(),
  expected: configValue.exactOptional(),
  given: configValue.exactOptional(),
});
const refused = z.strictObject({
  type: z.literal('refused'),
  code: z.enum(REFUSAL_CODES),
  reason: text,
  fields: z.array(mismatch).max(MAX_MISMATCHES).exactOptional(),
  missing: missing.exactOptional(),
});

/** What a client may send, by `type`. Unknown fields are refused. */
export const clientMessageSchema: z.ZodType<ClientMessage> = z.discriminatedUnion('type', [
  prove,
  join,
  leave,
  agree,
  withdraw,
]);

/** What the coordinator may send, by `type`. */
export const serverMessageSchema: z.ZodType<ServerMessage> = z.discriminatedUnion('type', [
  challenge,
  welcome,
  accepted,
  waiting,
  roster,
  departed,
  agreed,
  refused,
]);

/** Throws WEFT_INVALID_ARGUMENT when a coordinator would refuse the descriptor. */
export function checkEndpoint(descriptor: unknown): void {
  const issue = endpoint.safeParse(descriptor).error?.issues[0];
  if (issue === undefined) return;
  throw invalidArgument(
    ['endpoint', ...issue.path].join('.'),
    descriptor,
    `as EndpointDescriptor: ${issue.message}`,
  );
}

/** Decodes and validates what a client sent; throws WEFT_PROTOCOL. */
export function parseClientMessage(frame: Uint8Array): ClientMessage {
  return parse(clientMessageSchema, frame);
}

/** Decodes and validates what the coordinator sent; throws WEFT_PROTOCOL. */
export function parseServerMessage(frame: Uint8Array): ServerMessage {
  return parse(serverMessageSchema, frame);
}

function parse<T>(schema: z.ZodType<T>, frame: Uint8Array): T {
  const value = decode(frame);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at "${issue.path.join('.')}"`;
  throw new WeftError('WEFT_PROTOCOL', `unexpected control message${where}: ${issue?.message ?? 'invalid'}`);
}

/**
 * The protocol version a frame of the handshake speaks, when it is another than ours. It is read before the message is
 * validated: the messages of another version may have other fields.
 */
export function foreignVersion(frame: Uint8Array): number | undefined {
  const value = decode(frame);
  if (typeof value !== 'object' || value === null || !('protocol' in value)) return undefined;
  const { protocol } = value;
  return Number.isSafeInteger(protocol) && protocol !== PROTOCOL_VERSION ? (protocol as number) : undefined;
}

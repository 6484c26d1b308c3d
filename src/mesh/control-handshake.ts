import { type WeftCode, WeftError } from '../errors.js';
import { channelMeshId } from './channel.js';
import { configHash } from './config-hash.js';
import type { ControlLink } from './control-link.js';
import type { Accepted, Join, Refused, ServerMessage } from './messages.js';
import { PROTOCOL_VERSION } from './messages.js';
import { clientProof, newNonce, proofMatches, serverProof } from './proof.js';
import type { Scope } from './scope.js';

export interface HandshakeInput extends Pick<Join, 'role' | 'rank' | 'channel' | 'config' | 'endpoint'> {
  token: string;
}

export interface Handshake {
  /** Of the channel. */
  meshId: Uint8Array;
  nonce: Uint8Array;
  accepted: Accepted;
}

/** Runs challenge, proofs and join on a new link. `step` is told what is waited for. */
export async function shakeHands(
  link: ControlLink,
  input: HandshakeInput,
  scope: Scope,
  step: (waitingFor: string) => void,
): Promise<Handshake> {
  const expect = async <Type extends ServerMessage['type']>(
    type: Type,
  ): Promise<Extract<ServerMessage, { type: Type }>> => {
    step(`"${type}" from the coordinator`);
    const message = await scope.race(link.next());
    if (message.type === type) return message as Extract<ServerMessage, { type: Type }>;
    if (message.type === 'refused') throw refusedError(message);
    throw new WeftError('WEFT_PROTOCOL', `the coordinator sent "${message.type}" where "${type}" belongs`, {
      phase: 'join',
    });
  };

  const { token, ...seat } = input;
  const { meshId, serverNonce } = await expect('challenge');
  const clientNonce = newNonce();
  const proofs = { token, meshId, serverNonce, clientNonce };
  link.send({ type: 'prove', protocol: PROTOCOL_VERSION, clientNonce, proof: clientProof(proofs) });

  // Until it has proven the token too, it learns nothing about this member.
  const welcome = await expect('welcome');
  if (!proofMatches(serverProof(proofs), welcome.proof)) {
    throw new WeftError('WEFT_AUTH', 'who answers at the URL does not know the token: not our coordinator', {
      phase: 'join',
    });
  }
  const nonce = newNonce();
  link.send({ type: 'join', ...seat, nonce, configHash: configHash(seat.config) });
  const ours = channelMeshId(meshId, seat.channel ?? '');
  return { meshId: ours, nonce, accepted: await expect('accepted') };
}

/** What a `refused` message says, as an error. */
export function refusedError({ code, reason, fields, missing }: Refused): WeftError {
  const details = { ...(fields && { fields }), ...(missing && { missing }) };
  return new WeftError(code satisfies WeftCode, `the coordinator refused this member: ${reason}`, {
    phase: 'join',
    ...(Object.keys(details).length > 0 && { details }),
  });
}

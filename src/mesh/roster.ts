/** The two sides of an attention-FFN mesh; 'ep' is a rank of an expert-parallel one, where every rank is both. */
export type Role = 'attention' | 'ffn' | 'ep';

export const ROLES: readonly Role[] = ['attention', 'ffn', 'ep'];

/** A plain value in the address of a transport this version knows nothing of. */
export type EndpointValue = string | number | boolean | Uint8Array;

/** How each transport of a member is reached, by transport name. Names not listed here are carried as they are. */
export interface TransportEndpoints {
  /** Path of a unix socket, "@..." for an abstract one: descriptors of shared memory are passed through it. */
  shm?: { socket: string };
  tcp?: { host: string; port: number };
  /** Where its handshake goes, and the ports and GIDs that its data takes ("rxe0:1:::ffff:10.0.0.1", comma between). */
  verbs?: { host: string; port: number; rails: string };
  /** Where its handshake goes; UCX finds the way for data. */
  ucx?: { host: string; port: number };
  /** Name of an abstract socket; members of one process have the same first 16 characters behind 'tensorweft-'. */
  loopback?: { key: string };
  [transport: string]: { readonly [field: string]: EndpointValue } | undefined;
}

/** Where a member runs and how it is reached. Peers pick transports by it: equal `host` is the same kernel, equal
 * `netns` the same network namespace, equal `host` and `pid` the same process. */
export interface EndpointDescriptor {
  /** Boot id of the machine. */
  host: string;
  /** Name of the network namespace, as the link /proc/self/ns/net says it. */
  netns: string;
  uid: number;
  pid: number;
  transports: TransportEndpoints;
}

export interface Member {
  /** Mesh-wide id: attention r is r, ffn r is `attention + r`; ep r is r. */
  member: number;
  role: Role;
  /** Number within the role, from 0. */
  rank: number;
  /** 32 bytes, new with each join; both members' go into the proofs of the data plane. */
  nonce: Uint8Array;
  endpoint: EndpointDescriptor;
}

export interface Roster {
  /** 16 random bytes, one value for the life of a coordinator. */
  meshId: Uint8Array;
  /** 0 while members are missing, 1 when complete, one more with every departure after that. */
  epoch: number;
  /** Number of attention ranks (M); 0 in an expert-parallel mesh. */
  attention: number;
  /** Number of FFN ranks (N); 0 in an expert-parallel mesh. */
  ffn: number;
  /** Number of ranks of an expert-parallel mesh. */
  ep?: number;
  /** By member id, ascending. Those who departed are not in it. */
  members: Member[];
}

/** The mesh's sizes: attention and ffn, or ep. */
export type MeshShape = Pick<Roster, 'attention' | 'ffn' | 'ep'>;

/** Why a member is gone: it said so, or its connection broke or went silent. */
export type DepartureReason = 'left' | 'lost';

export interface Departure {
  member: number;
  role: Role;
  rank: number;
  reason: DepartureReason;
  /** The mesh's epoch from this departure on; 0 when the mesh was not complete yet. */
  epoch: number;
}

/** Ranks not taken yet, ascending. */
export interface MissingRanks {
  attention: number[];
  ffn: number[];
  /** In an expert-parallel mesh. */
  ep?: number[];
}

/** Ranks of a role. */
export function ranksOf(shape: MeshShape, role: Role): number {
  return shape[role] ?? 0;
}

/** Members in all. */
export function sizeOfMesh(shape: MeshShape): number {
  return ROLES.reduce((sum, role) => sum + ranksOf(shape, role), 0);
}

/** The two sides of the mesh's exchange: those of an expert-parallel mesh are the same ranks. */
export function exchangeShape(shape: MeshShape): { attention: number; ffn: number } {
  const { attention, ffn, ep } = shape;
  return ep === undefined ? { attention, ffn } : { attention: ep, ffn: ep };
}

/** "2 attention and 3 ffn ranks" */
export function shapeText(shape: MeshShape): string {
  const parts = ROLES.filter((role) => ranksOf(shape, role) > 0).map(
    (role) => `${ranksOf(shape, role)} ${role}`,
  );
  return `${parts.join(' and ')} ranks`;
}

export function memberOf(shape: MeshShape, role: Role, rank: number): number {
  return role === 'ffn' ? shape.attention + rank : rank;
}

export function seatOf(shape: MeshShape, member: number): { role: Role; rank: number } {
  if (ranksOf(shape, 'ep') > 0) return { role: 'ep', rank: member };
  return member < shape.attention
    ? { role: 'attention', rank: member }
    : { role: 'ffn', rank: member - shape.attention };
}

/** "attention 1 and ffn 0, 2"; "nobody" when none is missing. Long lists are cut, with a count of the rest. */
export function missingText(missing: MissingRanks): string {
  const parts = ROLES.filter((role) => (missing[role]?.length ?? 0) > 0).map((role) => {
    const shown = missing[role]!.slice(0, 16);
    const rest = missing[role]!.length - shown.length;
    return `${role} ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  });
  return parts.length === 0 ? 'nobody' : parts.join(' and ');
}

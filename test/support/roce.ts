/** RoCE v2 packets of a capture: the base transport header behind Ethernet, IPv4 and UDP. InfiniBand specification, 9.2. */

/** Reliable connection opcodes. */
export const Opcode = {
  writeFirst: 0x06,
  writeMiddle: 0x07,
  writeLast: 0x08,
  writeLastWithImmediate: 0x09,
  writeOnly: 0x0a,
  writeOnlyWithImmediate: 0x0b,
  acknowledge: 0x11,
} as const;

export interface RocePacket {
  from: string;
  to: string;
  opcode: number;
  queuePair: number;
  immediate: number | undefined;
  bytes: number;
}

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET = 14;
const UDP = 8;
const BASE_HEADER = 12;
const REMOTE_ADDRESS_HEADER = 16;
const ROCE_PORT = 4791;

/** The packets of a pcap file as tcpdump writes it on a little-endian machine. */
export function rocePackets(pcap: Buffer): RocePacket[] {
  const packets: RocePacket[] = [];
  for (let at = PCAP_HEADER; at + RECORD_HEADER <= pcap.length; ) {
    const kept = pcap.readUInt32LE(at + 8);
    const packet = parse(pcap.subarray(at + RECORD_HEADER, at + RECORD_HEADER + kept));
    if (packet !== undefined) packets.push({ ...packet, bytes: pcap.readUInt32LE(at + 12) });
    at += RECORD_HEADER + kept;
  }
  return packets;
}

function parse(frame: Buffer): Omit<RocePacket, 'bytes'> | undefined {
  const ip = frame.subarray(ETHERNET);
  if (frame.readUInt16BE(12) !== 0x0800 || ip[9] !== 17) return undefined;
  const udp = ip.subarray((ip[0]! & 15) * 4);
  if (udp.readUInt16BE(2) !== ROCE_PORT) return undefined;
  const base = udp.subarray(UDP);
  const opcode = base[0]!;
  const behind = opcode === Opcode.writeOnlyWithImmediate ? BASE_HEADER + REMOTE_ADDRESS_HEADER : BASE_HEADER;
  const has = opcode === Opcode.writeOnlyWithImmediate || opcode === Opcode.writeLastWithImmediate;
  return {
    from: ip.subarray(12, 16).join('.'),
    to: ip.subarray(16, 20).join('.'),
    opcode,
    queuePair: base.readUIntBE(5, 3),
    immediate: has ? base.readUInt32BE(behind) : undefined,
  };
}

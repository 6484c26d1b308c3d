/** What a contender's rounds gave. */
export interface Measured {
  /** Nanoseconds, of the slowest attention rank in each round. */
  samples: number[];
  /** Bytes, or stamps, that were not what they should be. */
  wrong: number;
  /** By rank: [messages, requests, bytes] that it sent, over transports that count. */
  sent: (readonly number[])[];
}

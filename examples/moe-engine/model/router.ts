/** Which experts a token visits, and with what weight. */

/**
 * The top `k` of one row of logits by value, the lower id of equals first, with softmax weights renormalised over the
 * chosen ones. Writes `k` entries from `at` on. Throws when a logit is NaN, which no choice could be right for.
 */
export function topExperts(
  logits: Float32Array,
  k: number,
  experts: Int32Array,
  weights: Float32Array,
  at: number,
): void {
  for (let slot = 0; slot < k; slot++) {
    let best = -1;
    for (let e = 0; e < logits.length; e++) {
      if (taken(experts, at, slot, e)) continue;
      if (Number.isNaN(logits[e]!)) throw new RangeError(`router: the logit of expert ${e} is NaN`);
      if (best < 0 || logits[e]! > logits[best]!) best = e;
    }
    experts[at + slot] = best;
  }
  // exp(l - top) / sum over the chosen: the softmax over all experts would divide by a sum that cancels here.
  const top = logits[experts[at]!]!;
  let sum = 0;
  for (let slot = 0; slot < k; slot++) sum += Math.exp(logits[experts[at + slot]!]! - top);
  for (let slot = 0; slot < k; slot++) {
    weights[at + slot] = Math.exp(logits[experts[at + slot]!]! - top) / sum;
  }
}

function taken(experts: Int32Array, at: number, count: number, expert: number): boolean {
  for (let i = 0; i < count; i++) if (experts[at + i] === expert) return true;
  return false;
}

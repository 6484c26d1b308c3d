/** What a member says: it goes on without these, besides those who have departed. */
interface Proposal {
  /** The member's own count of its proposals, for the answer. */
  readonly turn: number;
  readonly without: readonly number[];
}

export interface Decision {
  /** Members that are there, and are not to be any more. */
  readonly expelled: number[];
  /** Turn of each member that is told. */
  readonly told: Map<number, number>;
}

/**
 * The members of a mesh decide together who is gone: when all have spoken whom nobody suspects. Of two who suspect each
 * other, who speaks first is believed.
 */
export class Agreement {
  /** In the order in which they came. */
  readonly #proposals: Map<number, Proposal> = new Map();

  propose(member: number, proposal: Proposal): void {
    this.#proposals.delete(member);
    this.#proposals.set(member, proposal);
  }

  /** Unless it has been settled, or another one came since. */
  withdraw(member: number, turn: number): void {
    if (this.#proposals.get(member)?.turn === turn) this.#proposals.delete(member);
  }

  departed(member: number): void {
    this.#proposals.delete(member);
  }

  /** The decision, if there is one now; then it starts over. */
  settle(members: readonly number[]): Decision | undefined {
    if (this.#proposals.size === 0) return undefined;
    const suspects = new Set<number>();
    for (const [member, { without }] of this.#proposals)
      if (!suspects.has(member)) for (const other of without) if (other !== member) suspects.add(other);
    const staying = members.filter((member) => !suspects.has(member));
    if (!staying.every((member) => this.#proposals.has(member))) return undefined;
    const told = new Map(staying.map((member) => [member, this.#proposals.get(member)!.turn]));
    this.#proposals.clear();
    return { expelled: members.filter((member) => suspects.has(member)), told };
  }
}

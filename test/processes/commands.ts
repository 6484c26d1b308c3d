/** What a test can tell a member process to do. */
import type {
  AgreedMembers,
  JoinOptions,
  OnPeerLoss,
  PeerExplanation,
  PeerName,
  Phase,
  WeftCode,
} from 'tensorweft';
import type { workload } from 'tensorweft/testing';

export type JoinCommand = Omit<JoinOptions, 'layout' | 'signal'> & {
  scenario: workload.Scenario | workload.ExpertScenario;
};

export interface ExpertCombineCommand {
  generation: number;
  deadlineMs?: number;
  blocking?: boolean;
  onPeerLoss?: OnPeerLoss;
  loss?: workload.ExpertLoss;
}

export interface CombineCommand {
  generation: number;
  deadlineMs?: number;
  blocking?: boolean;
  onPeerLoss?: 'error' | 'skip';
  without?: number[];
}

export interface CollectCommand extends Omit<workload.FfnWork, 'onBatch' | 'block'> {}

export interface Usage {
  rss: number;
  files: number;
  cpuMs: number;
}

export interface Commands {
  join(options: JoinCommand): Promise<{ role: string; rank: number; peers: PeerExplanation[] }>;
  /** All of the scenario's rounds, as `workload.driveAttention`, `driveFfn` and `driveExperts` do it. */
  drive(work: (workload.AttentionWork & workload.FfnWork) | workload.ExpertWork): Promise<number>;
  begin(generation: number): Promise<void>;
  publish(rows: { generation: number; rows: number }): Promise<void>;
  dispatch(generation: number): Promise<void>;
  /** Combines and checks every byte. */
  combine(options: CombineCommand): Promise<void>;
  collect(
    options: CollectCommand,
  ): Promise<{ rank: number; generation: number; available: number }[] | undefined>;
  /** Waits until so many rows of a collected part have come. */
  arrive(part: { rank: number; rows: number; deadlineMs?: number }): Promise<void>;
  /** Checks a collected part and replies to it; with `rows`, only so many rows of it. */
  reply(part: { rank: number; rows?: number }): Promise<void>;
  /** A round of an expert-parallel mesh; with `rows`, only so many of them. */
  dispatchExperts(round: { generation: number; rows?: number }): Promise<void>;
  /** Collects, checks and answers it; with `only`, for so many experts. */
  serveExperts(
    round: { generation: number } & Pick<
      workload.ExpertWork,
      'only' | 'blocking' | 'onPeerLoss' | 'deadlineMs'
    >,
  ): Promise<void>;
  combineExperts(options: ExpertCombineCommand): Promise<void>;
  /** What all that are left must say. */
  agree(options: { without?: PeerName[]; deadlineMs?: number }): Promise<AgreedMembers>;
  drop(peer: PeerName): Promise<void>;
  close(): Promise<void>;
  /** Closes the mesh, if there is one, and forgets everything: ready to join another. */
  reset(): Promise<void>;
  usage(): Promise<Usage>;
}

export interface Command {
  id: number;
  name: keyof Commands;
  argument: unknown;
}

/** A WeftError's fields, or another error's text. */
export interface Failure {
  code?: WeftCode;
  phase?: Phase | undefined;
  peer?: PeerName | undefined;
  details?: Readonly<Record<string, unknown>> | undefined;
  message: string;
}

export interface Answer {
  id: number;
  value?: unknown;
  failure?: Failure;
  /** When the command ended, in milliseconds of the epoch. */
  at: number;
}

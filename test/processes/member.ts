/** One rank in a process of its own, doing what its parent says step by step: see test/support/member.ts. */
import { readdirSync } from 'node:fs';
import {
  type AttentionRound,
  type AttentionSlot,
  type FfnPart,
  isWeftError,
  joinMesh,
  type Mesh,
} from 'tensorweft';
import { workload } from 'tensorweft/testing';
import type { Answer, Command, Commands, Failure } from './commands.js';

const { claimRound, factsOf, fillRows } = workload;
// Set by `join`; a test that tells something else first gets the TypeError it deserves.
let mesh!: Mesh;
let scenario: workload.Scenario;
let facts: workload.Facts;
let experts: workload.ExpertScenario;
let expertFacts: workload.ExpertFacts;
const slots = new Map<number, AttentionSlot>();
const rounds = new Map<number, AttentionRound>();
const parts = new Map<number, FfnPart>();

const roundOf = (generation: number): AttentionRound => rounds.get(generation)!;
const server = (): workload.Server => ({ facts, ffn: scenario.ffn, rank: mesh.rank });

const commands: Commands = {
  join: async ({ scenario: given, ...options }) => {
    if ('ranks' in given) {
      experts = given;
      expertFacts = workload.expertFactsOf(given);
    } else {
      scenario = given;
      facts = factsOf(given);
    }
    mesh = await joinMesh({ ...options, layout: given.layout });
    return { role: mesh.role, rank: mesh.rank, peers: mesh.explain() };
  },
  drive: async (work) => {
    if (mesh.role === 'ep') {
      await workload.driveExperts(mesh, experts, work as workload.ExpertWork);
      return experts.rounds;
    }
    if (mesh.role === 'ffn') return await workload.driveFfn(mesh, scenario, work as workload.FfnWork);
    await workload.driveAttention(mesh, scenario, work as workload.AttentionWork);
    return scenario.rounds;
  },
  begin: async (generation) => {
    const slot = claimRound(mesh.attention, facts, mesh.rank, generation);
    slots.set(generation, slot);
    rounds.set(generation, slot.begin());
  },
  publish: async ({ generation, rows }) => {
    const slot = slots.get(generation)!;
    fillRows(slot, facts, mesh.rank, 0, rows);
    slot.publish(rows);
  },
  dispatch: async (generation) => {
    const slot = claimRound(mesh.attention, facts, mesh.rank, generation);
    fillRows(slot, facts, mesh.rank, 0, slot.tokens);
    rounds.set(generation, slot.dispatch());
  },
  combine: async ({ generation, blocking = false, without, ...options }) => {
    const round = roundOf(generation);
    const result = blocking ? round.combineSync(options) : await round.combine(options);
    workload.checkResult(mesh, scenario, generation, result, without === undefined ? {} : { without });
  },
  collect: async ({ blocking = false, ...options }) => {
    const batch = blocking ? mesh.ffn.nextSync(options) : await mesh.ffn.next(options);
    for (const part of batch?.parts ?? []) parts.set(part.rank, part);
    return batch?.parts.map(({ rank, generation, available }) => ({ rank, generation, available }));
  },
  arrive: async ({ rank, rows, ...options }) => await parts.get(rank)!.whenAvailable(rows, options),
  reply: async ({ rank, rows }) => {
    const part = parts.get(rank)!;
    workload.checkPart(server(), part);
    workload.checkRows(server(), part, 0, part.available);
    const end = rows ?? workload.replyRowsOf(server(), part);
    workload.writeOutput(server(), part, 0, end);
    if (rows === undefined) part.reply();
    else part.publish(rows);
  },
  dispatchExperts: async ({ generation, rows }) => {
    if (rows === undefined) {
      rounds.set(generation, await workload.dispatchExperts(mesh, expertFacts, generation));
      return;
    }
    const slot = claimRound(mesh.ep, expertFacts, mesh.rank, generation);
    rounds.set(generation, slot.begin());
    fillRows(slot, expertFacts, mesh.rank, 0, rows);
    slot.publish(rows);
  },
  serveExperts: async ({ generation, ...work }) =>
    await workload.serveExperts(mesh, expertFacts, generation, work),
  combineExperts: async ({ generation, blocking = false, loss, ...options }) => {
    const round = roundOf(generation);
    const result = blocking ? round.combineSync(options) : await round.combine(options);
    workload.checkExpertResult(mesh, expertFacts, generation, result.data, loss);
  },
  agree: async (options) => await mesh.agree(options),
  drop: async (peer) => mesh.drop(peer),
  close: async () => await mesh.close(),
  reset: async () => {
    await mesh?.close();
    for (const map of [slots, rounds, parts]) map.clear();
  },
  usage: async () => {
    const { user, system } = process.cpuUsage();
    return {
      rss: process.memoryUsage.rss(),
      files: readdirSync('/proc/self/fd').length,
      cpuMs: (user + system) / 1000,
    };
  },
};

function failureOf(error: unknown): Failure {
  if (!isWeftError(error)) return { message: error instanceof Error ? (error.stack ?? '') : String(error) };
  const { code, phase, peer, details, message } = error;
  return { code, phase, peer, details, message };
}

process.on('message', async ({ id, name, argument }: Command) => {
  let answer: Answer;
  try {
    answer = {
      id,
      value: await commands[name](argument as never),
      at: performance.timeOrigin + performance.now(),
    };
  } catch (error) {
    answer = { id, failure: failureOf(error), at: performance.timeOrigin + performance.now() };
  }
  process.send?.(answer);
});
// The parent is gone: nothing is to be left behind.
process.on('disconnect', () => process.exit());

/** A rank's way into the mesh of its run. */
import { joinMesh, type Mesh, type Role } from 'tensorweft';
import { exchangeLayout } from './layout.js';
import type { ModelConfig } from './model/config.js';
import type { RankContext } from './rank-main.js';

export function join(role: Role, config: ModelConfig, { job, token, signal }: RankContext): Promise<Mesh> {
  const { split } = job;
  return joinMesh({
    coordinator: job.coordinator,
    token,
    role,
    rank: job.rank,
    layout: exchangeLayout(config, split),
    transports: [split.transport],
    deadlineMs: split.deadlineMs,
    signal,
  });
}

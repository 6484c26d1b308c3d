import type { ExchangeLayout } from '../afd/layout.js';
import { type Coordinator, startCoordinator } from '../mesh/coordinator.js';
import { type JoinOptions, joinMesh } from '../mesh/join.js';
import type { Mesh } from '../mesh/mesh.js';
import { ROLES, type Role } from '../mesh/roster.js';
import type { ExpertScenario } from './expert-scenario.js';
import type { Scenario } from './scenario.js';

/** All members of a mesh, in this process. */
export interface Rig extends AsyncDisposable {
  readonly coordinator: Coordinator;
  /** By rank. */
  readonly attention: readonly Mesh[];
  readonly ffn: readonly Mesh[];
  close(): Promise<void>;
}

/** Starts a coordinator and joins every member with the same options. */
export async function openRig(
  { attention, ffn, layout }: Pick<Scenario, 'attention' | 'ffn' | 'layout'>,
  options: Partial<JoinOptions>,
): Promise<Rig> {
  const opened = await openMeshes({ attention, ffn }, layout, options);
  const of = (role: Role): Mesh[] => opened.members.filter((mesh) => mesh.role === role);
  return { ...opened, attention: of('attention'), ffn: of('ffn') };
}

/** The ranks of an expert-parallel mesh, in this process. */
export interface ExpertRig extends AsyncDisposable {
  readonly coordinator: Coordinator;
  /** By rank. */
  readonly ranks: readonly Mesh[];
  close(): Promise<void>;
}

export async function openExpertRig(
  { ranks, layout }: Pick<ExpertScenario, 'ranks' | 'layout'>,
  options: Partial<JoinOptions>,
): Promise<ExpertRig> {
  const { members, ...opened } = await openMeshes({ ep: ranks }, layout, options);
  return { ...opened, ranks: members };
}

async function openMeshes(
  shape: Partial<Record<Role, number>>,
  layout: ExchangeLayout,
  options: Partial<JoinOptions>,
) {
  const coordinator = await startCoordinator(shape);
  const { url, token } = coordinator;
  const seats = ROLES.flatMap((role) =>
    Array.from({ length: shape[role] ?? 0 }, (_, rank) => ({ role, rank })),
  );
  try {
    const members = await Promise.all(
      seats.map((seat) =>
        joinMesh({ coordinator: url, token, ...seat, layout, heapBytes: 1 << 20, ...options }),
      ),
    );
    const close = async (): Promise<void> => {
      await Promise.all(members.map((mesh) => mesh.close()));
      await coordinator.close();
    };
    return { coordinator, members, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await coordinator.close();
    throw error;
  }
}

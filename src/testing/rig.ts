import { type Coordinator, startCoordinator } from '../mesh/coordinator.js';
import { type JoinOptions, joinMesh } from '../mesh/join.js';
import type { Mesh } from '../mesh/mesh.js';
import type { Role } from '../mesh/roster.js';
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
  scenario: Pick<Scenario, 'attention' | 'ffn' | 'layout'>,
  options: Partial<JoinOptions>,
): Promise<Rig> {
  const { attention, ffn, layout } = scenario;
  const coordinator = await startCoordinator({ attention, ffn });
  const join = (role: Role, rank: number): Promise<Mesh> =>
    joinMesh({
      coordinator: coordinator.url,
      token: coordinator.token,
      role,
      rank,
      layout,
      heapBytes: 1 << 20,
      ...options,
    });
  const all = (role: Role, n: number): Promise<Mesh[]> =>
    Promise.all(Array.from({ length: n }, (_, rank) => join(role, rank)));
  try {
    const [a, f] = await Promise.all([all('attention', attention), all('ffn', ffn)]);
    const close = async (): Promise<void> => {
      await Promise.all([...a, ...f].map((mesh) => mesh.close()));
      await coordinator.close();
    };
    return { coordinator, attention: a, ffn: f, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await coordinator.close();
    throw error;
  }
}

/** Joining a peer that is in the roster, and listens, but does not answer. */
import { type Coordinator, type JoinOptions, joinMesh, type Role, startCoordinator } from 'tensorweft';
import { rejects } from 'tensorweft/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveLayout } from '../../src/afd/layout.js';
import { joinControl } from '../../src/mesh/control-client.js';
import type { ControlSession } from '../../src/mesh/control-session.js';
import { type Listening, listen } from '../../src/mesh/listen.js';

const layout = { hidden: 8, maxTokens: 4 };
let coordinator: Coordinator;
let silent: ControlSession | undefined;
let listening: Listening;
beforeEach(async () => {
  coordinator = await startCoordinator({ attention: 1, ffn: 1 });
});
afterEach(async () => {
  listening.listeners.close();
  await silent?.close();
  await coordinator.close();
});

describe.each([
  ['attention', 'shm'],
  ['attention', 'tcp'],
  ['ffn', 'shm'],
  ['ffn', 'tcp'],
] as const)('%s over %s', (role: Role, transport) => {
  const peer = role === 'ffn' ? 'attention' : 'ffn';

  /** A member that is connecting to one that only has its place at the coordinator. */
  async function connecting(options: Partial<JoinOptions>): Promise<{ joining: Promise<unknown> }> {
    const { url, token } = coordinator;
    const joining = joinMesh({ coordinator: url, token, role, layout, transports: [transport], ...options });
    joining.catch(() => {});
    listening = listen([transport], '127.0.0.1');
    const config = JSON.parse(JSON.stringify(resolveLayout(layout))) as object;
    const { descriptor } = listening;
    silent = await joinControl({ coordinator: url, token, role: peer, config, endpoint: descriptor });
    await silent.roster();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { joining };
  }

  it('the signal ends it at once', async () => {
    const controller = new AbortController();
    const { joining } = await connecting({ signal: controller.signal, deadlineMs: 20_000 });
    const start = performance.now();
    controller.abort('enough');
    const error = await rejects(joining, 'WEFT_ABORTED', { phase: 'connect' });
    expect(error.cause).toBe('enough');
    expect(performance.now() - start).toBeLessThan(1500);
  });

  it('the deadline names the peer', async () => {
    const { joining } = await connecting({ deadlineMs: 700 });
    await rejects(joining, 'WEFT_DEADLINE', { phase: 'connect', peer: `${peer} 0` });
  });

  it('the peer leaves: that ends it at once', async () => {
    const { joining } = await connecting({ deadlineMs: 20_000 });
    const start = performance.now();
    await silent!.leave();
    await rejects(joining, 'WEFT_PEER_CLOSED', { phase: 'connect', peer: `${peer} 0` });
    expect(performance.now() - start).toBeLessThan(1500);
  });
});

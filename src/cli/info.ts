import type { Command } from 'commander';
import type { UcxOffer } from '../native.js';
import { collectInfo, type Info } from './info-facts.js';
import { byteText, columns, paint, printJson } from './output.js';

export function registerInfo(program: Command): void {
  program
    .command('info')
    .description('print what this build is, and what it found on this machine')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const info = await collectInfo();
      if (json) printJson(info);
      else console.log(infoText(info));
      if ('error' in info.addon) process.exitCode = 1;
    });
}

export function infoText({ version, addon, node, machine, transports, protocols, rdma, ucx }: Info): string {
  const loaded = 'path' in addon;
  const memory = `${byteText(machine.memoryBytes)}, ${byteText(machine.availableBytes)} available`;
  const facts = columns([
    ['tensorweft', version],
    ['addon', loaded ? addon.path : paint('red', `not loaded: ${addon.error}`)],
    ...(loaded
      ? [
          ['compiler', addon.compiler],
          ['kernels', `${addon.isa} (${addon.simd})`],
        ]
      : []),
    ['node', `${node.version}, Node-API ${node.napi} (the addon uses 9)`],
    ['cpu', `${machine.cpu}, ${machine.arch}`],
    ['cores', `${machine.usableCores} usable of ${machine.cores}`],
    ['memory', memory],
    ['kernel', machine.kernel],
    ...('version' in ucx ? [['ucx', ucxText(ucx)]] : []),
    ['protocols', `frames ${protocols.frame ?? 'unknown'}, control ${protocols.control}`],
  ]);
  if (transports.length === 0) return facts;
  const rows = transports.map(({ name, usable, rows, unavailable }) => [
    name,
    usable ? paint('green', 'yes') : paint('red', 'no'),
    rows,
    unavailable ?? '',
  ]);
  const head = ['transport', 'usable', 'rows published', 'why not'].map((title) => paint('bold', title));
  return [facts, columns([head, ...rows]), ...(rdma.devices.length > 0 ? [devicesText(rdma)] : [])].join(
    '\n\n',
  );
}

function ucxText({ version, resources, memory }: UcxOffer): string {
  return `${version}: ${resources.join(', ')}; memory: ${memory.join(', ')}`;
}

/** A line for each port, and one for each of its addresses behind the first. */
function devicesText({ devices }: Info['rdma']): string {
  const head = ['rdma device', 'port', 'state', 'link', 'mtu', 'interface', 'limits', 'gids'];
  const rows = devices.flatMap((device) =>
    device.ports.flatMap(({ number, state, linkLayer, mtu, interface: name, gids }) => {
      const limits = [
        `${device.maxQueuePairs} queue pairs of ${device.maxRequests}`,
        `${device.maxPieces} pieces`,
        `messages of ${byteText(device.ports[0]!.maxMessageBytes)}`,
        ...(device.dmaBuf ? ['dma-buf'] : []),
      ].join(', ');
      const facts = [device.name, String(number), state, linkLayer, String(mtu), name, limits];
      const texts = gids.map(({ index, gid, type }) => `${index}: ${gid} (${type})`);
      return [facts, ...texts.slice(1).map(() => facts.map(() => ''))].map((row, i) => [
        ...row,
        texts[i] ?? 'none',
      ]);
    }),
  );
  return columns([head.map((title) => paint('bold', title)), ...rows]);
}

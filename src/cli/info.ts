import type { Command } from 'commander';
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

export function infoText({ version, addon, node, machine, transports, protocols }: Info): string {
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
  return `${facts}\n\n${columns([head, ...rows])}`;
}

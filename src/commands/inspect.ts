import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { PipelineResult } from '../engine/types.js';
import type { Identity } from '../model/identity.js';
import type { StageName } from '../model/stage-names.js';
import { readOutputs, type StageOutputs } from '../report/report.js';
import { terminalText } from '../text/escape-terminal.js';
import { formatBytes } from '../text/format.js';
import { tableLines } from '../text/table.js';
import { collectSetting, newCommand, printJson } from './command.js';
import { EXIT_FAILED, failureText } from './failure.js';
import { type ForegroundOptions, openDrop, runForeground } from './foreground.js';
import type { Io } from './io.js';

export function inspectCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'inspect <path>',
    summary: 'show what is in a disk (read-only)',
    description:
      'Stops after INSPECT and prints the guest’s identity. It writes only to a temporary directory.',
    examples: ['hyper2kvm inspect web01.vmdk', "hyper2kvm inspect web01.vmdk --json | jq -r '.os_distro'"],
  })
    .option('--set <key=value>', 'override one option (repeatable)', collectSetting)
    .action(async (path: string, _local, command: Command) => {
      const options = command.optsWithGlobals<ForegroundOptions>();
      const outputs = await runUntil(io, path, 'inspect', options);
      if (outputs === null) return;
      if (options.json) return printJson(io, outputs.identity);
      io.out(
        outputs.identity === null
          ? 'A data disk: there is no guest to inspect.\n'
          : identityText(io, outputs.identity),
      );
    });
}

/**
 * Runs the stages up to `until` in a scratch directory that is removed. Returns null if it failed, which is
 * printed.
 */
export async function runUntil(
  io: Io,
  path: string,
  until: StageName,
  options: ForegroundOptions,
): Promise<StageOutputs | null> {
  const drop = await openDrop(io, path, options);
  const workDirectory = await mkdtemp(join(tmpdir(), 'hyper2kvm-'));
  const json = options.json === true;
  let result: PipelineResult;
  try {
    result = await runForeground(io, drop, { workDirectory, json, until });
  } finally {
    await rm(workDirectory, { recursive: true, force: true });
  }
  const { error } = result;
  if (error === null) return readOutputs(result.outputs);
  io.exitCode = EXIT_FAILED;
  if (json) printJson(io, { error });
  else io.err(failureText(io, error));
  return null;
}

const AS_IS: [string, string] = ['conversion', 'as it is only: fix.mode = "none"'];

function identityText(io: Io, identity: Identity): string {
  const facts: [string, string][] = [
    ['os_name', identity.os_name],
    ['os_type', identity.os_type],
    ['os_distro', identity.os_distro],
    ['os_version', identity.os_version],
    ['hostname', identity.hostname],
    ['architecture', identity.architecture],
    ['firmware', identity.firmware],
    ['bootloader', identity.bootloader],
    ['init_system', identity.init_system],
    ['network_manager', identity.network_manager.join(', ')],
    ['initramfs_tool', identity.initramfs_tool],
    ['package_manager', identity.package_manager],
    ['vmware_tools', identity.vmware_tools],
    ['encrypted', String(identity.encrypted)],
    ['qemu_guest_agent', String(identity.qemu_guest_agent)],
    ['selinux', String(identity.selinux)],
    ...(identity.as_is === undefined ? [] : [AS_IS]),
    ...identity.kernels.map(({ version, initramfs }): [string, string] => [
      'kernel',
      `${version}${initramfs === null ? ', no initramfs' : `, ${initramfs.path} (${formatBytes(initramfs.size)})`}`,
    ]),
  ];
  const head = facts
    .map(([name, value]) => `${io.paint('dim', name.padEnd(16))} ${terminalText(value)}\n`)
    .join('');
  const [title, ...rows] = tableLines(
    [
      { title: 'DEVICE' },
      { title: 'TYPE' },
      { title: 'SIZE', align: 'right' },
      { title: 'MOUNTED ON' },
      { title: 'UUID' },
    ],
    identity.filesystems.map((fs) =>
      [fs.device, fs.type, formatBytes(fs.size), fs.mountpoint ?? '', fs.uuid ?? ''].map(terminalText),
    ),
    { gap: 2 },
  ) as [string, ...string[]];
  return `${head}\n${[io.paint('bold', title), ...rows].join('\n')}\n`;
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { PipelineResult } from '../engine/types.js';
import type { StageName } from '../model/stage-names.js';
import { readOutputs, type StageOutputs } from '../report/report.js';
import { collectSetting, newCommand, printJson } from './command.js';
import { EXIT_FAILED, failureText } from './failure.js';
import { type ForegroundOptions, openDrop, runForeground } from './foreground.js';
import { identityText } from './identity-text.js';
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

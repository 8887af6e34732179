import { mkdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { exists } from '../files/exists.js';
import { assembleBundle, writeFailure } from '../report/bundle.js';
import { grantQemuAccess } from '../report/libvirt-access.js';
import type { Report } from '../report/report.js';
import { summarize } from '../report/summary.js';
import { publishDirectory } from '../spool/publish.js';
import { terminalText } from '../text/escape-terminal.js';
import { pathTo } from '../tools/acl.js';
import { collectSetting, newCommand, printJson, usageError } from './command.js';
import { EXIT_FAILED, failureText } from './failure.js';
import {
  type ForegroundJob,
  type ForegroundOptions,
  makeWorkDirectory,
  openDrop,
  runForeground,
} from './foreground.js';
import type { Io } from './io.js';

interface ConvertOptions extends ForegroundOptions {
  output: string;
}

export function convertCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'convert <path>',
    summary: 'convert one VM now, in the foreground',
    description:
      'Runs the whole pipeline once on a disk image, a VM’s directory or an .ova, and writes the bundle to DIR/<vm>/. The source stays where it is and is ' +
      'never written to. A job.toml beside it is read. On failure, the report goes to DIR/<vm>-failed-<job>/.',
    examples: [
      'hyper2kvm convert web01.vmdk -o /srv/vms',
      'hyper2kvm convert ./web01/ -o . --set convert.compression=zstd',
    ],
  })
    .requiredOption('-o, --output <dir>', 'write the bundle to this directory')
    .option('--set <key=value>', 'override one option (repeatable)', collectSetting)
    .action(async (path: string, _local, command: Command) => {
      const options = command.optsWithGlobals<ConvertOptions>();
      const drop = await openDrop(io, path, options);
      const output = resolve(options.output);
      const finalDirectory = join(output, drop.vm);
      if (await exists(finalDirectory))
        throw usageError(`${finalDirectory} exists already`, 'Remove it, or choose another -o or [vm] name.');
      const made = await mkdir(output, { recursive: true });
      // Only directories created here are opened to libvirt; for others, the commands are printed at the end.
      if (made !== undefined) await grantQemuAccess(pathTo(output).filter((path) => path.startsWith(made)));
      // On the result's filesystem, so that the disk is moved into place and never copied.
      const workDirectory = await makeWorkDirectory(join(output, `.hyper2kvm-work-${drop.job}`));
      try {
        await convert(io, drop, { workDirectory, finalDirectory, json: options.json === true });
      } finally {
        await rm(workDirectory, { recursive: true, force: true });
      }
    });
}

async function convert(
  io: Io,
  drop: ForegroundJob,
  place: { workDirectory: string; finalDirectory: string; json: boolean },
): Promise<void> {
  const { workDirectory, finalDirectory, json } = place;
  const startedAt = new Date().toISOString();
  const result = await runForeground(io, drop, { workDirectory, json });
  const signal = io.interruption();
  const outcome = {
    ...drop,
    workDirectory,
    outputs: result.outputs,
    records: result.records,
    startedAt,
    finishedAt: new Date().toISOString(),
  };
  if (result.error === null) {
    const bundleDirectory = join(workDirectory, 'bundle');
    const report = await assembleBundle({
      ...outcome,
      bundleDirectory,
      finalDirectory,
      keepSource: 'leave',
      sourceId: result.sourceId,
      signal,
    });
    await publishDirectory(bundleDirectory, finalDirectory, signal);
    if (json) return printJson(io, { directory: finalDirectory, report });
    return io.out(convertedText(io, report, finalDirectory));
  }
  io.exitCode = EXIT_FAILED;
  const error = result.error;
  if (result.cancelled) return json ? printJson(io, { error }) : io.err(failureText(io, error));
  const failedDirectory = join(workDirectory, 'failure');
  const directory = join(dirname(finalDirectory), `${drop.vm}-failed-${drop.job}`);
  await writeFailure({ ...outcome, failedDirectory, error, failedStage: result.failedStage });
  await publishDirectory(failedDirectory, directory, signal);
  if (json) return printJson(io, { error, failed_stage: result.failedStage, directory });
  io.err(failureText(io, error));
  io.err(`  See ${terminalText(directory)}/report.html\n`);
}

function convertedText(io: Io, report: Report, directory: string): string {
  const { tone, verdict, sentence } = summarize(report);
  const style = tone === 'good' ? 'green' : tone === 'caution' ? 'yellow' : 'red';
  return `${io.paint(['bold', style], verdict)}: ${terminalText(sentence)}
  bundle  ${terminalText(directory)}
  report  ${terminalText(join(directory, 'report.html'))}
${startText(report)}`;
}

function startText({ start }: Report): string {
  if (start === null) return '';
  const lines = [...start.libvirt, start.qemu].map((line) => `  ${terminalText(line)}\n`);
  const qemu = lines.pop();
  return `\nStart it with libvirt:\n${lines.join('')}or with QEMU alone (screen: VNC, serial port: this terminal):\n${qemu}`;
}

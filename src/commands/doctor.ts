import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { formatCount } from '../text/format.js';
import { wrap } from '../text/table.js';
import { type CommonOptions, configOf, newCommand, printJson } from './command.js';
import { checkApplianceCache, checkKernel, checkLibguestfs } from './doctor/appliance.js';
import type { Check, Finding } from './doctor/check.js';
import { checkConnection } from './doctor/connection.js';
import { checkAccelerator, checkInotify, checkMemory, checkProcessors } from './doctor/host.js';
import { checkLibvirt } from './doctor/libvirt.js';
import { checkDirectories, checkSpace } from './doctor/spool.js';
import { checkFirmware, checkNode, checkPrograms, checkQemu, checkSandbox } from './doctor/tools.js';
import { checkVirtioWin } from './doctor/virtio-win.js';
import { EXIT_FAILED } from './failure.js';
import type { Io } from './io.js';

/** Every check, in the order of the rows. */
const CHECKS: readonly Check[] = [
  checkNode,
  checkQemu,
  checkLibguestfs,
  checkKernel,
  checkApplianceCache,
  checkFirmware,
  checkPrograms,
  checkSandbox,
  checkAccelerator,
  checkProcessors,
  checkMemory,
  checkDirectories,
  checkSpace,
  checkInotify,
  checkLibvirt,
  checkVirtioWin,
];

export function doctorCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'doctor',
    summary: 'check this host: tools, KVM, space, permissions; each line with its fix',
    description:
      'Checks everything that a conversion needs, and changes nothing. Exits with 1 if something must be fixed. Run it as the daemon’s user. ' +
      'With `--connection` it checks one of `[[remote.connections]]` instead: whether each host that data come from has an address, answers with a certificate that is accepted, and lets the user in.',
    examples: [
      'sudo -u hyper2kvm hyper2kvm doctor',
      'sudo hyper2kvm doctor --connection vc1',
      'hyper2kvm doctor --json | jq \'.checks[] | select(.status != "ok")\'',
    ],
  })
    .option('--connection <name>', 'check this connection instead: its hosts, certificates and login')
    .action(async (_local, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { connection?: string }>();
      const context = { config: configOf(io, options).config, env: io.env, signal: io.interruption() };
      const checks = options.connection === undefined ? CHECKS : [checkConnection(options.connection)];
      const findings: Finding[] = [];
      for (const check of checks) findings.push(...(await check(context)));
      const failed = findings.some(({ status }) => status === 'fail');
      if (failed) io.exitCode = EXIT_FAILED;
      if (options.json) return printJson(io, { healthy: !failed, checks: findings });
      io.out(findings.map((finding) => findingText(io, finding)).join(''));
      io.out(closing(findings));
    });
}

const MARKS = { ok: ['green', 'ok  '], warn: ['yellow', 'warn'], fail: ['red', 'FAIL'] } as const;
const NAME_WIDTH = 19;

export function findingText(
  io: Pick<Io, 'paint' | 'columns'>,
  { name, status, detail, fix }: Finding,
): string {
  const [style, mark] = MARKS[status];
  const indent = ' '.repeat(NAME_WIDTH + 6);
  const width = Math.max(40, io.columns());
  const lines = wrap(terminalText(detail), width, indent);
  const head = `${io.paint(style, mark)} ${name.padEnd(NAME_WIDTH)} ${lines[0]!.trimStart()}`;
  const fixes =
    fix === '' ? [] : wrap(`fix: ${terminalText(fix)}`, width, indent).map((line) => io.paint('bold', line));
  return `${[head, ...lines.slice(1), ...fixes].join('\n')}\n`;
}

function closing(findings: readonly Finding[]): string {
  const count = (status: Finding['status']) => findings.filter((finding) => finding.status === status).length;
  return `\n${count('ok')} ok, ${formatCount(count('warn'), 'warning')}, ${count('fail')} failed.\n`;
}

import type { Command, Option } from 'commander';
import { examplesOf } from '../commands/command.js';
import { argumentWords, describedProgram, leafCommands } from './command-facts.js';

/**
 * Written by hand, because no command declares it: the locations of files, and exit statuses. man-pages(7)
 * gives the order of the sections.
 */
const EXIT_STATUS: readonly [string, string][] = [
  ['0', 'Success.'],
  ['1', 'Failure, or no daemon is running.'],
  ['2', 'The command line or the configuration is invalid; nothing was started.'],
];
const FILES: readonly [string, string][] = [
  ['/etc/hyper2kvm/config.toml', 'the configuration; every option with its default and its meaning'],
  ['/var/spool/hyper2kvm/incoming', 'where disks are dropped'],
  ['/var/spool/hyper2kvm/archive', 'finished VMs'],
  ['/var/spool/hyper2kvm/failed', 'failed VMs, each with its untouched source and the reason'],
  ['/var/lib/hyper2kvm/queue.db', 'the queue'],
  ['/run/hyper2kvm/control.sock', 'the socket on which commands reach the daemon'],
];
const ENVIRONMENT: readonly [string, string][] = [
  ['HYPER2KVM_TABLE_KEY', 'overrides one option: HYPER2KVM_WATCH_SETTLE_SECONDS is watch.settle_seconds'],
  ['NO_COLOR', 'no colours, also on a terminal'],
  ['LIBGUESTFS_CACHEDIR', "where libguestfs' appliance is built and kept"],
];

/**
 * Returns hyper2kvm(1) in man(7), made from the commands' own table. Pure: the same commands and version give
 * the same page. `date` is an ISO 8601 date.
 */
export function manualPage(version: string, date: string): string {
  const program = describedProgram();
  const options = new Set(program.options.map(({ flags }) => flags));
  return [
    `.TH HYPER2KVM 1 ${quoted(date)} ${quoted(`hyper2kvm ${version}`)} "User Commands"`,
    '.SH NAME',
    'hyper2kvm \\- turn VM disks of any hypervisor into VMs that boot on KVM',
    '.SH SYNOPSIS',
    '.B hyper2kvm\n.I COMMAND\n.RI [ ARGUMENT ...]\n.RI [ OPTION ...]',
    '.SH DESCRIPTION',
    text(program.description()),
    '.PP',
    text('Every command takes these options:'),
    ...optionList(program),
    '.SH COMMANDS',
    ...leafCommands(program).flatMap(({ words, command }) => commandPart(words, command, options)),
    '.SH EXIT STATUS',
    ...taggedList(EXIT_STATUS),
    '.SH ENVIRONMENT',
    ...taggedList(ENVIRONMENT),
    '.SH FILES',
    ...taggedList(FILES),
    '.SH SEE ALSO',
    '.BR systemctl (1),\n.BR journalctl (1),\n.BR virsh (1),\n.BR qemu\\-img (1)',
    '',
  ].join('\n');
}

/** `common` are the flags of the options at the top of the page. */
function commandPart(words: string, command: Command, common: ReadonlySet<string>): string[] {
  const own = command.options.filter(({ flags }) => !common.has(flags));
  const heading = [`hyper2kvm ${words}`, ...argumentWords(command)].join(' ');
  const examples = examplesOf(command).map((line) => text(`$ ${line}`));
  return [
    `.SS ${quoted(heading)}`,
    text(command.description()),
    ...own.flatMap(optionPart),
    '.PP',
    'Examples:',
    '.PP',
    '.in +4n\n.nf',
    ...examples,
    '.fi\n.in',
  ];
}

function optionList(program: Command): string[] {
  return program.createHelp().visibleOptions(program).flatMap(optionPart);
}

function optionPart(option: Option): string[] {
  const choices = option.argChoices === undefined ? '' : ` (one of: ${option.argChoices.join(', ')})`;
  return ['.TP', `.B ${quoted(option.flags)}`, text(option.description + choices)];
}

function taggedList(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, meaning]) => ['.TP', `.B ${quoted(name)}`, text(meaning)]);
}

/**
 * Escapes plain text so that roff shows it unchanged: `\\` and `-` are special everywhere, `.` and `'` at the
 * beginning of a line.
 */
function text(plain: string): string {
  return escaped(plain).replaceAll(/^(?=[.'])/gm, '\\&');
}

function quoted(plain: string): string {
  return `"${escaped(plain).replaceAll('"', '\\(dq')}"`;
}

function escaped(plain: string): string {
  return plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('’', "'").replaceAll('…', '...');
}

import type { ErrorRecord } from '../errors.js';
import type { Boot } from '../stages/validate/schema.js';
import { filesystemsOf } from './layout.js';
import type { AsItIs } from './matrix-as-is.js';
import type { GuestRecipe } from './recipes.js';

/** What `convert --json` tells, with the plan.json of the bundle. */
export interface Bundle {
  directory: string | null;
  report:
    | { boot: Boot | null; identity: Record<string, unknown>; stages: { stage: string; seconds: number }[] }
    | undefined;
  error: ErrorRecord | null;
  plan: string;
}

export interface Observed {
  asItIs: AsItIs;
  bundle: Bundle;
  /** `plan --json` of the same source, and of the delivered disks. */
  again: string;
  second: string;
}

export interface MatrixResult {
  name: string;
  asItIs: string;
  verdict: string;
  bootSeconds: number | null;
  convertSeconds: number | null;
  /** Empty: the guest is right. */
  faults: string[];
}

/** SLIRP's first lease. */
const DHCP_ADDRESS = '10.0.2.15';

/** Holds what was seen against what the recipe says the guest had on VMware. Pure. */
export function judge(recipe: GuestRecipe, { asItIs, bundle, again, second }: Observed): MatrixResult {
  const { report, error } = bundle;
  const boot = report?.boot ?? null;
  const faults = [
    ...(asItIs.works ? ['the unchanged guest works on virtio: it proves nothing'] : []),
    ...(error === null ? [] : [`${error.code}: ${error.message}`]),
    ...(error === null ? bootFaults(recipe, boot) : []),
    ...(error === null ? identityFaults(recipe, report?.identity ?? {}) : []),
    ...(error === null ? planFaults(bundle.plan, again, second) : []),
  ];
  const seconds = (report?.stages ?? [])
    .filter(({ stage }) => stage !== 'validate')
    .reduce((sum, stage) => sum + stage.seconds, 0);
  return {
    name: recipe.name,
    asItIs: asItIs.what,
    verdict: error === null ? `${boot?.verdict ?? 'no boot'}, ${boot?.level ?? ''}` : error.code,
    bootSeconds: boot?.seconds ?? null,
    convertSeconds: error === null ? seconds : null,
    faults,
  };
}

function bootFaults(recipe: GuestRecipe, boot: Boot | null): string[] {
  if (boot === null || boot.guest === null) return ['the guest said nothing of itself'];
  const { addresses, missing_mounts, mounts, swaps, failed_units } = boot.guest;
  const address = recipe.network.static?.address.replace(/\/.*/, '') ?? DHCP_ADDRESS;
  const filesystems = filesystemsOf(recipe);
  const wantedSwaps = filesystems.filter(({ filesystem }) => filesystem === 'swap').length;
  const wanted = filesystems.filter(({ mount }) => mount.startsWith('/'));
  const lost = wanted.filter(({ mount }) => !mounts.some(({ mountpoint }) => mountpoint === mount));
  return [
    ...(boot.verdict === 'booted' && boot.level === 'login' ? [] : [`${boot.verdict} at ${boot.level}`]),
    ...(addresses.includes(address) ? [] : [`addresses ${addresses.join(' ')} instead of ${address}`]),
    ...(missing_mounts.length > 0 || lost.length > 0
      ? [`not mounted: ${[...missing_mounts, ...lost.map(({ mount }) => mount)].join(' ')}`]
      : []),
    ...(swaps.length === wantedSwaps ? [] : [`${swaps.length} swap areas instead of ${wantedSwaps}`]),
    ...(failed_units.length === 0 ? [] : [`failed: ${failed_units.join(' ')}`]),
  ];
}

const BOOTLOADERS = { grub: 'grub2', 'systemd-boot': 'systemd-boot', extlinux: 'extlinux' } as const;

function identityFaults(recipe: GuestRecipe, identity: Record<string, unknown>): string[] {
  const wanted: Record<string, unknown> = {
    os_distro: 'debian',
    firmware: recipe.firmware,
    bootloader: BOOTLOADERS[recipe.loader ?? 'grub'],
    hostname: recipe.name,
    initramfs_tool: recipe.initramfs.tool,
    encrypted: (recipe.volumes ?? []).some(({ kind }) => kind === 'luks'),
    vmware_tools: 'open-vm-tools',
  };
  const wrong = Object.entries(wanted).filter(([key, value]) => identity[key] !== value);
  const backends = Array.isArray(identity.network_manager) ? identity.network_manager : [];
  return [
    ...wrong.map(([key, value]) => `identity.${key} is ${identity[key]} instead of ${value}`),
    ...(backends.includes(recipe.network.backend)
      ? []
      : [`identity.network_manager is ${backends.join(' ')} without ${recipe.network.backend}`]),
  ];
}

function planFaults(first: string, again: string, second: string): string[] {
  const { operations } = JSON.parse(second) as { operations: { fixer: string; path?: string }[] };
  return [
    ...(first === again ? [] : [`two plans of the same source differ: ${firstDifference(first, again)}`]),
    ...operations.map(({ fixer, path }) => `planned again: ${fixer} ${path ?? ''}`),
  ];
}

function firstDifference(first: string, again: string): string {
  const [left, right] = [first.split('\n'), again.split('\n')];
  const line = left.findIndex((text, index) => text !== right[index]);
  return line === -1
    ? `${left.length} and ${right.length} lines`
    : `line ${line + 1}, ${left[line]?.trim()} and ${right[line]?.trim()}`;
}

/** A Markdown table, one line a guest; faults below it. Pure. */
export function matrixTable(recipes: readonly GuestRecipe[], results: readonly MatrixResult[]): string {
  const head = [
    'guest',
    'disks',
    'storage',
    'loader',
    'initramfs',
    'network',
    'as it is',
    'converted',
    'convert s',
    'boot s',
    'right',
  ];
  const rows = recipes.map((recipe) => {
    const result = results.find(({ name }) => name === recipe.name);
    const known =
      result === undefined
        ? ['not run', '', '', '', '']
        : [
            result.asItIs,
            result.verdict,
            result.convertSeconds?.toFixed(0) ?? '',
            result.bootSeconds?.toFixed(0) ?? '',
            result.faults.length === 0 ? 'yes' : 'no',
          ];
    return [
      recipe.name,
      String(recipe.disks.length),
      storageText(recipe),
      recipe.loader ?? 'grub',
      recipe.initramfs.tool,
      networkText(recipe),
      ...known,
    ];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const faults = results.flatMap(({ name, faults: all }) => all.map((fault) => `${name}: ${fault}\n`));
  return (
    line(head) +
    line(head.map(() => '---')) +
    rows.map(line).join('') +
    (faults.length > 0 ? `\n${faults.join('')}` : '')
  );
}

function storageText(recipe: GuestRecipe): string {
  const filesystems = filesystemsOf(recipe).flatMap(({ filesystem }) =>
    ['swap', 'vfat'].includes(filesystem) ? [] : [filesystem],
  );
  const volumes = (recipe.volumes ?? []).map(({ kind }) => kind);
  return [...volumes, ...new Set(filesystems)].join(' ');
}

const networkText = ({ network }: GuestRecipe) =>
  `${network.backend}${network.static === undefined ? '' : ', static'}`;

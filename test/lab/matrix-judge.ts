import type { ErrorRecord } from '#hyper2kvm/errors/error.js';
import type { Boot } from '#hyper2kvm/model/boot.js';
import type { LinuxIdentity } from '#hyper2kvm/model/identity.js';
import { filesystemsOf } from './layout.ts';
import type { AsItIs } from './matrix-as-is.ts';
import { identityFaults } from './matrix-identity.ts';
import type { GuestRecipe } from './recipes.ts';

/** What `convert --json` tells. */
export interface Bundle {
  directory: string | null;
  report:
    | {
        boot: Boot | null;
        identity: LinuxIdentity;
        stages: { stage: string; seconds: number; appliance_launches: number }[];
      }
    | undefined;
  error: ErrorRecord | null;
}

/** One conversion by this product, as `convert` and `plan` told it. */
export interface Converted {
  bundle: Bundle;
  /** `plan --json` of the delivered disks. */
  second: string;
  /** What each of several boots of the delivered disks lost: of guests whose network might be a matter of luck. */
  boots?: string[][];
}

export interface Observed extends Converted {
  asItIs: AsItIs;
}

/** Two runs on the same source. */
export interface Twice {
  /** Files, directories and links that were compared, and the lines of the listings that differ. */
  entries: number;
  differences: string[];
  /** plan.json was the same text. */
  samePlan: boolean;
  /** Two CONVERTs of the same overlays gave the same bytes. */
  sameBytes: boolean;
}

/** What a booted guest says of itself. */
export interface GuestState {
  addresses: string[];
  /** Mount points. */
  mounts: string[];
  swaps: string[];
  failed_units: string[];
}

/** The same guest through virt-v2v. */
export interface PeerResult {
  seconds: number;
  /** virt-v2v's own words where it gave no result. */
  error: string | null;
  /** Of its result, booted; null where it did not come so far, and `stopped` says where. */
  state: GuestState | null;
  stopped: string | null;
}

export interface MatrixResult {
  name: string;
  asItIs: string;
  verdict: string;
  bootSeconds: number | null;
  convertSeconds: number | null;
  /** What `plan` says of the delivered disks. */
  plannedAgain: string;
  /** Empty: the guest is right. */
  faults: string[];
}

/** SLIRP's first lease. */
const DHCP_ADDRESS = '10.0.2.15';

/** Holds what was seen against what the recipe says the guest had on VMware. Pure. */
export function judge(recipe: GuestRecipe, { asItIs, bundle, second, boots = [] }: Observed): MatrixResult {
  const { report, error } = bundle;
  const boot = report?.boot ?? null;
  const faults = [
    ...(asItIs.works ? ['the unchanged guest works on virtio: it proves nothing'] : []),
    ...(error === null ? [] : [`${error.code}: ${error.message}`]),
    ...(error === null ? bootFaults(recipe, boot) : []),
    ...(report === undefined ? [] : identityFaults(recipe, report.identity)),
    ...(report === undefined ? [] : driverFaults(recipe, report.identity)),
    ...(error === null ? planFaults(second) : []),
    ...boots.flatMap((lost, index) => lost.map((what) => `boot ${index + 1}: ${what}`)),
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
    plannedAgain: error === null ? countText(operationsOf(second).length) : '',
    faults,
  };
}

/** What INSPECT lists is from before FIX. Some guests have the drivers: something else is wrong with them. */
function driverFaults({ initramfs: { modules } }: GuestRecipe, { kernels }: LinuxIdentity): string[] {
  if (modules.includes('virtio_blk')) return [];
  return kernels
    .filter(({ initramfs }) => initramfs?.modules.includes('virtio_blk'))
    .map(({ initramfs }) => `${initramfs?.path} has virtio_blk before FIX: it proves nothing`);
}

function bootFaults(recipe: GuestRecipe, boot: Boot | null): string[] {
  if (boot === null || boot.guest === null) return ['the guest said nothing of itself'];
  const { mounts, missing_mounts, ...rest } = boot.guest;
  return [
    ...(boot.verdict === 'booted' && boot.level === 'login' ? [] : [`${boot.verdict} at ${boot.level}`]),
    ...missing_mounts.map((mount) => `not mounted by its own fstab: ${mount}`),
    ...stateFaults(recipe, { ...rest, mounts: mounts.map(({ mountpoint }) => mountpoint) }),
  ];
}

/** What the booted guest has lost of what it had on VMware. Pure. */
export function stateFaults(recipe: GuestRecipe, state: GuestState): string[] {
  const { addresses, mounts, swaps, failed_units } = state;
  const address = recipe.network.static?.address.replace(/\/.*/, '') ?? DHCP_ADDRESS;
  const filesystems = filesystemsOf(recipe);
  const wantedSwaps = filesystems.filter(({ filesystem }) => filesystem === 'swap').length;
  const lost = filesystems.filter(({ mount }) => mount.startsWith('/') && !mounts.includes(mount));
  const had = addresses.length === 0 ? 'no address' : `addresses ${addresses.join(' ')}`;
  return [
    ...(addresses.includes(address) ? [] : [`${had} instead of ${address}`]),
    ...(lost.length === 0 ? [] : [`not mounted: ${lost.map(({ mount }) => mount).join(' ')}`]),
    ...(swaps.length === wantedSwaps ? [] : [`${swaps.length} swap areas instead of ${wantedSwaps}`]),
    ...(failed_units.length === 0 ? [] : [`failed: ${failed_units.join(' ')}`]),
  ];
}

const planFaults = (second: string): string[] =>
  operationsOf(second).map(({ fixer, path }) => `planned again: ${fixer} ${path ?? ''}`);

const operationsOf = (plan: string) =>
  (JSON.parse(plan) as { operations: { fixer: string; path?: string }[] }).operations;

const countText = (count: number) => (count === 0 ? 'nothing' : `${count} operations`);

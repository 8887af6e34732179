import { basename } from 'node:path';
import { capturedValue } from '../../guest/registry/captured.js';
import { textData } from '../../guest/registry/make-value.js';
import { upperCase } from '../../guest/registry/names.js';
import type { DriverPackage } from '../../model/driver-set.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { FirstBoot } from '../../operations/first-boot.js';
import { sha256 } from '../../text/canonical-json.js';
import type { Fixer } from '../base/fixer.js';
import { cardsOf } from './cards.js';
import { chosenDevices } from './devices.js';
import { hasInf } from './driver-files.js';
import { commandFile } from './first-boot/command-file.js';
import { unplacedAdapters } from './first-boot/network-steps.js';
import { planFile } from './first-boot/plan-file.js';
import { FIRST_BOOT_SERVICE, firstBootService } from './first-boot/service.js';
import { firstBootSteps } from './first-boot/steps.js';
import { isClustered } from './first-boot-values.js';
import { VISTA } from './own-drivers.js';
import { changeHive, controlSetOf, hiveOf, setValue, type WindowsGuest } from './registry-edits.js';
import { restoresOf } from './restores.js';

const NAME = 'first-boot';
const PARENT = '/Program Files/hyper2kvm';
const DIRECTORY = `${PARENT}/firstboot`;

/** Runs after the fixers whose registry values it restores. */
export const firstBootFixer: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'Installs a service, hyper2kvm-firstboot, that runs once when Windows starts and then deletes itself: it brings disks online, installs the drivers, gives each network adapter what the old one had (found by its MAC address), uninstalls VMware Tools (unless fix.vmware_tools = "keep", or the VM has a vmxnet3 card, whose driver they are), installs the guest agent, runs the operator’s batch files (windows.first_boot_steps, each at most an hour a try), restores what was changed for the first boot, and writes a line to the first serial port. Windows restarts once if a driver needs it. It is a program of hyper2kvm’s own, or a batch file where a policy (Windows Defender Application Control) lets only known programs run. XP and Server 2003 have no first boot, since they lack what it works with. windows-first-boot.md has the details.',
  plan(guest) {
    if (guest.identity.build < VISTA) return { operations: [], warnings: [NO_FIRST_BOOT] };
    const warnings = [...adapterWarnings(guest), ...toolsWarnings(guest)];
    const program = mayRunPrograms(guest) ? guest.firstBootProgram : null;
    const scripts = guest.firstBootScripts;
    const service = `${controlSetOf(guest)}\\Services\\${FIRST_BOOT_SERVICE}`;
    const system = hiveOf(guest, 'SYSTEM');
    const isWaiting = capturedValue(system, service, 'ImagePath') !== null;
    const { steps, leftOut } = stepsOf(guest);
    if (leftOut.length > 0) warnings.push(tooLargeWarning(leftOut));
    const inState = (state: string) => {
      const batch = program === null ? commandFile(steps, state) : null;
      const text = batch?.text ?? planFile(steps, state);
      const parts = [program?.sha256 ?? '', text, ...scripts.map((one) => one.sha256)];
      return { state, batch, text, digest: textData(sha256(parts.join('\n'))) };
    };
    const waiting = (name: string) => (isWaiting ? capturedValue(system, service, name) : null);
    const begun = inState(textOf(waiting('State')?.data ?? ''));
    // A guest that was converted before may have run its first boot since, or a part of it. What is finished
    // of another plan says nothing about this one.
    const isSame = waiting('Plan')?.data === begun.digest.data;
    const { state, batch, text, digest } = isSame ? begun : inState(unusedState(guest));
    if (batch !== null) warnings.push(batchWarning(batch.leftOut));
    const values = {
      ...firstBootService(batch === null ? 'program' : 'batch'),
      // By these a second conversion knows what is there already.
      State: textData(state),
      Plan: digest,
    };
    const changes = Object.entries(values).flatMap(([name, value]) => setValue(system, service, name, value));
    if (changes.length === 0) return { operations: [], warnings };
    const cause = {
      fixer: NAME,
      reason: 'Windows installs drivers and network settings itself, once it runs',
    };
    const directory = spelled(guest, DIRECTORY);
    const scriptDirectory = spelled(guest, `${DIRECTORY}/steps`);
    const files: FirstBoot = {
      op: 'first_boot',
      ...cause,
      path: batch === null ? `${directory}/plan.tsv` : `${directory}/firstboot.cmd`,
      text,
      program: program === null ? null : { ...program, path: `${directory}/h2kfirst.exe` },
      scripts: scripts.map((script) => ({
        ...script,
        path: `${scriptDirectory}/${basename(script.source)}`,
      })),
      directories: [spelled(guest, PARENT), directory, ...(scripts.length === 0 ? [] : [scriptDirectory])],
    };
    return { operations: [files, ...changeHive(system, cause, changes)], warnings };
  },
};

const NO_FIRST_BOOT: Warning = {
  fixer: NAME,
  code: 'devices.windows-no-first-boot',
  message:
    'Windows before Vista gets no first boot: after it has started once, give the network card its addresses, let Windows look for drivers in \\Windows\\Drivers\\VirtIO, and uninstall VMware Tools if it has them',
};

function stepsOf(guest: WindowsGuest) {
  const { identity, drivers } = guest;
  const { interfaces, nics } = cardsOf(guest);
  const system = hiveOf(guest, 'SYSTEM');
  const isThere = (driver: DriverPackage) => hasInf(guest, driver);
  return firstBootSteps({
    identity: { ...identity, interfaces },
    system,
    software: hiveOf(guest, 'SOFTWARE'),
    nics,
    drivers: drivers === null ? null : { ...drivers, packages: drivers.packages.filter(isThere) },
    bringDisksOnline: !isClustered(guest),
    removeTools: mayRemoveTools(guest) && !needsTools(guest),
    scripts: guest.firstBootScripts.map(({ source }) => basename(source)),
    restores: restoresOf(system, controlSetOf(guest)),
  });
}

const mayRemoveTools = ({ identity, options }: WindowsGuest): boolean =>
  identity.vmware_tools === 'msi' && options.vmware_tools !== 'keep';

/** The driver of VMware's card goes when its Tools are uninstalled. */
const needsTools = (guest: WindowsGuest): boolean => chosenDevices(guest).nic_model === 'vmxnet3';

function toolsWarnings(guest: WindowsGuest): Warning[] {
  if (!mayRemoveTools(guest) || !needsTools(guest)) return [];
  const message =
    'VMware Tools stay installed, with their services switched off: the driver of the vmxnet3 card belongs to them. Uninstall them once the VM has another card';
  return [{ fixer: NAME, code: 'devices.windows-tools-stay', message }];
}

const POLICIES = '/System32/CodeIntegrity';
/** Of the policies that Windows has several of, their directory; the only one that it had before. */
const ACTIVE = `${POLICIES}/CiPolicies/Active`;
const ONLY = 'SIPOLICY.P7B';

/**
 * Microsoft's own that stop no program: the block list of drivers, and those on cross-signed drivers. Not here: Smart
 * App Control, S mode and SE.
 */
const KERNEL_ONLY = new Set([
  '{D2BDA982-CCF6-4344-AC5B-0B44427B6816}.CIP',
  '{8F9CB695-5D48-48D6-A329-7202B44607E3}.CIP',
  '{784C4414-79F4-4C32-A6A5-F0FB42A51D0D}.CIP',
]);

/** Another active policy may let only known programs run: whether it does is not read out of it. */
function mayRunPrograms(guest: WindowsGuest): boolean {
  const { system_root: root, boot_store } = guest.identity;
  const listed = (path: string) => guest.tree.list(spelled(guest, `${root}${path}`));
  const onEsp = (boot_store?.policies ?? []).map((path) => path.slice(path.lastIndexOf('/') + 1));
  const several = [...listed(ACTIVE), ...onEsp].map(upperCase);
  const only = [...listed(POLICIES), ...onEsp].map(upperCase);
  return !only.includes(ONLY) && !several.some((name) => name.endsWith('.CIP') && !KERNEL_ONLY.has(name));
}

/** Returns the name of a folder that is not there: `state`, `state-2`, … */
function unusedState(guest: WindowsGuest): string {
  const names = new Set(guest.tree.list(spelled(guest, DIRECTORY)).map(upperCase));
  for (let number = 1; ; number++) {
    const name = number === 1 ? 'state' : `state-${number}`;
    if (!names.has(upperCase(name))) return name;
  }
}

/** Returns the path as the guest spells it; what does not exist stays as it is. */
function spelled({ tree }: WindowsGuest, path: string): string {
  let found = '';
  for (const name of path.split('/').slice(1)) {
    const known = tree.list(found === '' ? '/' : found).find((other) => upperCase(other) === upperCase(name));
    found = `${found}/${known ?? name}`;
  }
  return found;
}

const textOf = (data: string): string => Buffer.from(data, 'hex').toString('utf16le').replace(/\0.*$/s, '');

function adapterWarnings(guest: WindowsGuest): Warning[] {
  const { interfaces, nics } = cardsOf(guest);
  return unplacedAdapters(interfaces, nics).map(({ name, addresses }) => ({
    fixer: NAME,
    code: 'devices.windows-adapter-unknown',
    message: `the addresses of "${name}" (${addresses.map(({ address }) => address).join(', ')}) are given to no network card: nothing tells which card it was`,
  }));
}

function tooLargeWarning(leftOut: readonly string[]): Warning {
  return {
    fixer: NAME,
    code: 'devices.windows-first-boot-too-large',
    message: `the first boot lacks ${leftOut.join(', ')}: that is more than its program takes, so do it by hand (windows-first-boot.md)`,
  };
}

function batchWarning(leftOut: readonly string[]): Warning {
  const missing = leftOut.length === 0 ? '' : `, without ${leftOut.join(', ')}`;
  return {
    fixer: NAME,
    code: 'devices.windows-first-boot-batch',
    message: `the first boot is a batch file${missing}: no program of hyper2kvm’s own can be used`,
  };
}

import { type CapturedHive, capturedValue } from '../../../guest/registry/captured.js';
import type { DriverSet } from '../../../model/driver-set.js';
import type { Nic } from '../../../model/hardware.js';
import type { WindowsIdentity } from '../../../model/identity.js';
import { UNINSTALL } from '../inspect/what-to-capture.js';
import { diskSteps } from './disk-steps.js';
import { companionSteps, driverSteps } from './driver-steps.js';
import { networkSteps } from './network-steps.js';
import { FIRST_BOOT_DIRECTORY } from './service.js';
import { type FirstBootAction, type FirstBootStep, firstBootStepSchema } from './step.js';

/** What the first boot of a Windows guest depends on. */
export interface FirstBootFacts {
  identity: Pick<WindowsIdentity, 'build' | 'interfaces' | 'routes' | 'qemu_guest_agent'>;
  system: CapturedHive;
  software: CapturedHive;
  nics: readonly Nic[];
  /** Null without virtio-win. */
  drivers: DriverSet | null;
  /** False where disks may belong to other machines, too (a failover cluster). */
  bringDisksOnline: boolean;
  /** Whether VMware Tools are taken out. */
  removeTools: boolean;
  /** Names of the operator's batch files, in their order. */
  scripts: readonly string[];
  /** Registry values that FIX has changed for the first boot only: what was there, null for nothing. */
  restores: readonly { key: string; name: string; before: { type: number; data: string } | null }[];
}

export interface FirstBootSteps {
  /** What the first boot does, in its order. */
  steps: FirstBootStep[];
  /** Names of steps that are larger than the program takes. */
  leftOut: string[];
}

/** Returns what the first boot does. Pure. */
export function firstBootSteps(facts: FirstBootFacts): FirstBootSteps {
  const all = stepsOf(facts);
  const steps = all.filter((step) => firstBootStepSchema.safeParse(step).success);
  return { steps, leftOut: all.flatMap((step) => (steps.includes(step) ? [] : [step.id])) };
}

function stepsOf(facts: FirstBootFacts): FirstBootStep[] {
  const { identity, system, software, nics, drivers } = facts;
  return [
    ...(facts.bringDisksOnline ? diskSteps(system) : []),
    ...(drivers === null ? [] : driverSteps(drivers, identity.build, software)),
    ...networkSteps(identity, nics),
    ...(facts.removeTools ? toolsSteps(software) : []),
    ...(drivers === null ? [] : companionSteps(drivers, identity.qemu_guest_agent)),
    ...facts.scripts.map(scriptStep),
    ...facts.restores.map(restoreStep),
    { id: 'report', seconds: 30, last: true, action: { verb: 'report', port: '\\\\.\\COM1' } },
  ];
}

const PRODUCT_CODE = /^\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$/i;
/** The product is not installed (ERROR_UNKNOWN_PRODUCT). */
const NOT_INSTALLED = 1605;

/** The Windows Installer knows VMware Tools by the name of their key. */
function toolsSteps(software: CapturedHive): FirstBootStep[] {
  for (const uninstall of UNINSTALL) {
    for (const { path } of software.keys) {
      const code = path.slice(uninstall.length + 1);
      const isDirect = path.toUpperCase().startsWith(`${uninstall.toUpperCase()}\\`);
      if (!isDirect || !PRODUCT_CODE.test(code) || !isTools(software, path)) continue;
      const command = `"%SystemRoot%\\System32\\msiexec.exe" /x ${code} /qn /norestart REBOOT=ReallySuppress`;
      const action = { verb: 'run', command, good: [NOT_INSTALLED], again: null } satisfies FirstBootAction;
      return [{ id: 'vmware-tools', seconds: 600, last: false, action }];
    }
  }
  return [];
}

const TOOLS = Buffer.from('VMware Tools', 'utf16le').toString('hex');

function isTools(software: CapturedHive, path: string): boolean {
  return capturedValue(software, path, 'DisplayName')?.data.startsWith(TOOLS) === true;
}

/** An hour for each try: the operator's steps may install programs. */
const SCRIPT_SECONDS = 3_600;

function scriptStep(name: string, index: number): FirstBootStep {
  const command = `"%SystemRoot%\\System32\\cmd.exe" /d /c ""${FIRST_BOOT_DIRECTORY}\\steps\\${name}""`;
  const action = { verb: 'run', command, good: [], again: null } satisfies FirstBootAction;
  return { id: `operator-${index + 1}`, seconds: SCRIPT_SECONDS, last: false, action };
}

function restoreStep(
  { key, name, before }: FirstBootFacts['restores'][number],
  index: number,
): FirstBootStep {
  const path = `SYSTEM\\CurrentControlSet\\${key}`;
  return {
    id: `restore-${index + 1}`,
    seconds: 30,
    last: true,
    action: { verb: 'registry', key: path, name, value: before },
  };
}

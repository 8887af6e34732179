import type { Hive, RegistryKey } from '../../../guest/registry/hive.js';
import type { WindowsIdentity } from '../../../model/identity.js';
import { UNINSTALL } from './what-to-capture.js';

/** A program that Windows lists for removal. */
export interface Installed {
  name: string;
  version: string | null;
}

const MAX_PROGRAMS = 10_000;

/** Returns the installed programs, 32-bit ones too. Pure. */
export function installedPrograms(software: Hive): Installed[] {
  const programs: Installed[] = [];
  for (const path of UNINSTALL)
    for (const key of software.key(path)?.subkeys() ?? []) {
      if (programs.length === MAX_PROGRAMS) return programs;
      const name = key.text('DisplayName')?.trim() ?? '';
      if (name !== '') programs.push({ name, version: key.text('DisplayVersion') });
    }
  return programs;
}

type Tools = Pick<WindowsIdentity, 'vmware_tools' | 'vmware_tools_version'>;

/** The services that do not run without VMware Tools. */
const TOOLS_SERVICES = ['VMTools', 'VGAuthService', 'vm3dservice'];

/** Returns whether VMware Tools are installed, or left services behind. Pure. */
export function vmwareTools(programs: readonly Installed[], services: RegistryKey | null): Tools {
  const tools = programs.find(({ name }) => name === 'VMware Tools');
  if (tools !== undefined) return { vmware_tools: 'msi', vmware_tools_version: tools.version };
  const isLeft = TOOLS_SERVICES.some((name) => services?.key(name)?.value('Start') != null);
  return { vmware_tools: isLeft ? 'remnants' : 'none', vmware_tools_version: null };
}

const ANTIVIRUS =
  /\b(?:Avast|AVG|Avira|Bitdefender|Carbon Black|CrowdStrike|Cylance|ESET|F-Secure|Kaspersky|Malwarebytes|McAfee|Norton|Panda|SentinelOne|Sophos|Symantec|Trellix|Trend Micro|Webroot)\b/i;

/** Returns the names of programs that may block new drivers and services. */
export function antivirusPrograms(programs: readonly Installed[]): string[] {
  return [...new Set(programs.flatMap(({ name }) => (ANTIVIRUS.test(name) ? [name] : [])))].sort();
}

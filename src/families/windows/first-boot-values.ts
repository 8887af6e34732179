import { capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import { dwordData } from '../../guest/registry/make-value.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { VISTA } from './own-drivers.js';
import { changeHive, controlSetOf, hiveOf } from './registry-edits.js';
import { setUntilFirstBoot } from './restores.js';

const NAME = 'first-boot-values';
const DISABLED = 4;
/** Every disk is brought online. */
const ONLINE_ALL = 1;

export const firstBootValues: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'For the first boot only: a blue screen stays on the screen (CrashControl, AutoReboot=0), and disks that Windows sees for the first time are brought online (partmgr, SanPolicy=1), except in a failover cluster, whose shared disks must not be. The values from before are noted in the registry, and the first boot gives them back; XP and Server 2003, which have none, keep theirs.',
  plan(guest) {
    // No first boot would give the values back.
    if (guest.identity.build < VISTA) return { operations: [], warnings: [] };
    const system = hiveOf(guest, 'SYSTEM');
    const set = controlSetOf(guest);
    const isCluster = isClustered(guest);
    const crash = { key: 'Control\\CrashControl', name: 'AutoReboot' };
    const disks = { key: 'Services\\partmgr\\Parameters', name: 'SanPolicy' };
    const operations = [
      ...changeHive(
        system,
        { fixer: NAME, reason: 'a stop code must stay on the screen if the first boot fails' },
        setUntilFirstBoot(system, set, crash, dwordData(0)),
      ),
      ...(isCluster
        ? []
        : changeHive(
            system,
            { fixer: NAME, reason: 'Windows leaves disks offline that it sees on a new controller' },
            setUntilFirstBoot(system, set, disks, dwordData(ONLINE_ALL)),
          )),
    ];
    return { operations, warnings: isCluster ? [CLUSTER] : [] };
  },
};

const CLUSTER: Warning = {
  fixer: NAME,
  code: 'devices.windows-cluster',
  message:
    'Windows is a node of a failover cluster: new disks stay offline, so bring those online that are its own',
};

/** True if the cluster's disk driver or service is installed and not switched off. */
export function isClustered(guest: Guest<WindowsIdentity>): boolean {
  const system = hiveOf(guest, 'SYSTEM');
  return ['ClusDisk', 'ClusSvc'].some((name) => {
    const start = capturedNumber(capturedValue(system, `${controlSetOf(guest)}\\Services\\${name}`, 'Start'));
    return start !== null && start !== DISABLED;
  });
}

import { capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import { dwordData } from '../../guest/registry/make-value.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Fixer } from '../base/fixer.js';
import { isVmwareService, VMWARE_SERVICES } from './base/vmware-names.js';
import { changeHive, controlSetOf, hiveOf, setValue, subkeysOf } from './registry-edits.js';

const NAME = 'vmware-services';
const DISABLED = 4;

export const vmwareServices: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description: `Services and drivers of VMware Tools are switched off (Start=4), by a fixed list of names: ${VMWARE_SERVICES.join(', ')}. Their files stay. With fix.vmware_tools = "keep" the services stay, too.`,
  plan(guest) {
    if (guest.options.vmware_tools === 'keep') return { operations: [], warnings: [] };
    const system = hiveOf(guest, 'SYSTEM');
    const changes = subkeysOf(system, `${controlSetOf(guest)}\\Services`).flatMap(({ path, name }) => {
      const start = capturedValue(system, path, 'Start');
      // A key without one is what is left of a service that was removed.
      if (!isVmwareService(name) || start === null || capturedNumber(start) === DISABLED) return [];
      return setValue(system, path, 'Start', dwordData(DISABLED));
    });
    const reason = 'these services and drivers have no use without VMware, and some delay the start';
    return { operations: changeHive(system, { fixer: NAME, reason }, changes), warnings: [] };
  },
};

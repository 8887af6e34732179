import { upperCase } from '../../../guest/registry/names.js';

/**
 * Services and drivers of VMware that are switched off; a `*` at the end stands for any rest. A closed list:
 * vmbus, vmgid, vmgencounter, vmic*, vmcompute, VMSP, VmsProxy and WmiApSrv are Microsoft's own. VMware's
 * drivers of storage and network cards are not in it, so that the guest can go back.
 */
export const VMWARE_SERVICES = [
  ...['VMTools', 'VGAuthService', 'vm3dservice', 'vmvss', 'VMUpgradeHelper', 'VMwareCAF*', 'GISvc'],
  ...['giappdef', 'vmStatsProvider', 'VMwareCertService', 'vmci', 'vsock', 'vmhgfs', 'vmmemctl'],
  ...['vmrawdsk', 'vmdebug', 'vmmouse', 'vmusbmouse', 'vmkbd', 'vmdesched', 'vm3dmp', 'vm3dmp_loader'],
  ...['vm3dmp-debug', 'vm3dmp-stats', 'vmx_svga', 'svga_wddm', 'vmaudio', 'vmwefifw', 'efifw', 'vnetWFP'],
  ...['vnetflt', 'vsepflt'],
] as const;

const EXACT = new Set(VMWARE_SERVICES.filter((name) => !name.endsWith('*')).map(upperCase));
const PREFIXES = VMWARE_SERVICES.filter((name) => name.endsWith('*')).map((name) =>
  upperCase(name.slice(0, -1)),
);

/** True for a service's name, of any case, that is on the list. */
export function isVmwareService(name: string): boolean {
  const upper = upperCase(name);
  return EXACT.has(upper) || PREFIXES.some((prefix) => upper.startsWith(prefix));
}

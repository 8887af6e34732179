/** Controllers of disks, by their types: the bus, and how a .vmx calls them (null for the only kind of the bus). */
export const CONTROLLERS: Readonly<Record<string, { bus: string; model: string | null }>> = {
  ParaVirtualSCSIController: { bus: 'scsi', model: 'pvscsi' },
  VirtualLsiLogicController: { bus: 'scsi', model: 'lsilogic' },
  VirtualLsiLogicSASController: { bus: 'scsi', model: 'lsisas1068' },
  VirtualBusLogicController: { bus: 'scsi', model: 'buslogic' },
  VirtualAHCIController: { bus: 'sata', model: null },
  VirtualSATAController: { bus: 'sata', model: null },
  VirtualNVMEController: { bus: 'nvme', model: null },
  VirtualIDEController: { bus: 'ide', model: null },
};

/** Returns where a device of an export is, of which the server writes `/vm-1/VirtualLsiLogicController0:0`. */
export function slotOfKey(key: string): string | null {
  const [, type = '', bus, unit] = /\/([A-Za-z]{1,64})(\d{1,3}):(\d{1,3})$/.exec(key) ?? [];
  return Object.hasOwn(CONTROLLERS, type) ? `${CONTROLLERS[type]!.bus}${Number(bus)}:${Number(unit)}` : null;
}

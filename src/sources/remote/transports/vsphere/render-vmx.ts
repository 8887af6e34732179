import type { VmFacts } from './vm-facts.js';

/**
 * Returns the .vmx of a VM. It is written from what the API says, because the file itself may name its disks by paths
 * of the host, and two of them by the same name on two datastores. `fileOf` gives the name of a disk's newest
 * state in the drop.
 */
export function renderVmx(vm: VmFacts, fileOf: (slot: string) => string): string {
  const lines: [key: string, value: string | number | null][] = [
    ['.encoding', 'UTF-8'],
    ['displayName', vm.name],
    ['guestOS', vm.guestId],
    ['memSize', vm.memoryMib],
    ['numvcpus', vm.vcpus],
    ['firmware', vm.firmware],
    ['uefi.secureBoot.enabled', vm.secureBoot ? 'TRUE' : null],
    ['vtpm.present', vm.tpm ? 'TRUE' : null],
    ['uuid.bios', vm.uuid],
    ['bios.hddOrder', vm.bootOrder.length === 0 ? null : vm.bootOrder.join(',')],
    ...vm.controllers.flatMap(({ name, model }): typeof lines => [
      [`${name}.present`, 'TRUE'],
      [`${name}.virtualDev`, model],
    ]),
    ...vm.disks.flatMap(({ slot }): typeof lines => [
      [`${slot}.present`, 'TRUE'],
      [`${slot}.fileName`, fileOf(slot)],
    ]),
    ...vm.nics.flatMap(({ model, mac, network, slot }, index): typeof lines => [
      [`ethernet${index}.present`, 'TRUE'],
      [`ethernet${index}.virtualDev`, model],
      [`ethernet${index}.networkName`, network],
      [`ethernet${index}.addressType`, 'static'],
      [`ethernet${index}.address`, mac],
      [`ethernet${index}.pciSlotNumber`, slot],
    ]),
  ];
  return lines
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key} = "${escaped(String(value))}"\n`)
    .join('');
}

/** A quote would end the value, and a line break the line: `|22`, `|0A`. */
function escaped(value: string): string {
  return value.replace(/[\0-\x1f"|\x7f]/g, (character) => {
    const code = character.charCodeAt(0).toString(16).toUpperCase();
    return `|${code.padStart(2, '0')}`;
  });
}

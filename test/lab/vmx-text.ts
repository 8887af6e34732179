import type { GuestRecipe } from './recipes.ts';

/** Slots of VMware's first two NICs, which name them: `ens192`, `ens224`. */
const SLOTS = [192, 224] as const;

/** VMware's description of the guest as its recipe says: disks, firmware and NICs. Pure. */
export function vmxText(recipe: GuestRecipe): string {
  const disks = recipe.disks.flatMap((_, index) => [
    `scsi0:${index}.present = "TRUE"`,
    `scsi0:${index}.fileName = "disk${index}.vmdk"`,
    `scsi0:${index}.deviceType = "scsi-hardDisk"`,
  ]);
  const lines = [
    ...['.encoding = "UTF-8"', 'config.version = "8"', 'virtualHW.version = "14"'],
    ...[`displayName = "${recipe.name}"`, 'guestOS = "debian10-64"', 'memSize = "1024"', 'numvcpus = "2"'],
    ...[`firmware = "${recipe.firmware === 'uefi' ? 'efi' : 'bios'}"`, 'disk.EnableUUID = "TRUE"'],
    ...['scsi0.present = "TRUE"', 'scsi0.virtualDev = "pvscsi"', ...disks],
    ...nics(recipe).flatMap(({ mac, slot }, index) => [
      ...[`ethernet${index}.present = "TRUE"`, `ethernet${index}.virtualDev = "vmxnet3"`],
      ...[`ethernet${index}.addressType = "static"`, `ethernet${index}.address = "${mac}"`],
      `ethernet${index}.pciSlotNumber = "${slot}"`,
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** In the order of the description. A card that the guest does not configure comes first, in the later slot. */
export function nics({ network }: GuestRecipe): { mac: string; slot: number }[] {
  const configured = { mac: network.mac, slot: SLOTS[0] };
  return network.other === undefined ? [configured] : [{ mac: network.other, slot: SLOTS[1] }, configured];
}

import { type BootEnd, bootGuest, INITRAMFS_SHELL, LAB_REPORT, type LabReport, labReport } from './boot.ts';
import { rootArguments } from './boot-loaders.ts';
import type { BuiltGuest } from './guest.ts';
import { nics } from './vmx-text.ts';

const NO_LOADER = /BdsDxe: No bootable option or device was found|Shell>|failed to load Boot/;
const EMERGENCY = /emergency mode|emergency shell|dracut:\/#|dracut-initqueue.*(timeout|Could not boot)/;

/** What an unchanged guest does on virtio: where it stops, or what it lost. */
export interface AsItIs {
  works: boolean;
  what: string;
}

/**
 * UEFI: firmware without the old NVRAM. BIOS: the guest's own kernel and initramfs, started directly so that
 * they speak on the serial port.
 */
export async function asItIsOnVirtio(guest: BuiltGuest): Promise<AsItIs> {
  const { recipe } = guest;
  const machine = {
    disks: guest.images.map((file) => ({ file, format: 'raw' as const })),
    hardware: recipe.withoutVirtio1 === true ? ('virtio-modern' as const) : ('virtio' as const),
    firmware: recipe.firmware,
    macs: nics(recipe).map(({ mac }) => mac),
    timeoutSeconds: 300,
  };
  if (recipe.firmware === 'uefi') {
    const until = [NO_LOADER, /Linux version/, /GRUB/];
    const { matched } = ended(await bootGuest({ ...machine, until }));
    return { works: matched !== NO_LOADER, what: matched === NO_LOADER ? 'no boot loader' : `${matched}` };
  }
  const append = `${rootArguments(recipe)} ro no_timer_check console=ttyS0 rootdelay=5 rd.timeout=15 rd.retry=10`;
  const { serial, matched } = ended(
    await bootGuest({
      ...machine,
      direct: { kernel: guest.kernel, initrd: guest.initrd, append },
      until: [INITRAMFS_SHELL, EMERGENCY, LAB_REPORT],
    }),
  );
  if (matched === INITRAMFS_SHELL) return { works: false, what: 'initramfs shell' };
  if (matched === EMERGENCY) return { works: false, what: 'emergency mode' };
  const lost = lostOf(guest, labReport(serial));
  return { works: lost.length === 0, what: lost.length === 0 ? 'works' : lost.join(', ') };
}

/** What is seen is remembered: a boot that this machine was too busy for tells nothing of the guest. */
export function ended(boot: BootEnd): BootEnd {
  if (boot.matched !== undefined) return boot;
  throw new Error(`the boot came to no end in ${boot.seconds.toFixed(0)} s:\n${boot.serial.slice(-2000)}`);
}

/** What the running guest is not any more that it was on VMware, as far as its network and its instance go. */
export function lostOf({ recipe, sshHostKey }: BuiltGuest, report: LabReport): string[] {
  const { interface: card, mac, static: fixed } = recipe.network;
  const { addresses } = report;
  if (addresses.length === 0) return ['no network'];
  const isThere = fixed === undefined || addresses.includes(`${card}=${fixed.address}`);
  return [
    ...(isThere ? [] : [`${addresses.join(' ')} instead of ${card}=${fixed?.address}`]),
    ...(report.mac === undefined || report.mac === mac ? [] : ['the wrong network']),
    ...(report.ssh_host_key === sshHostKey ? [] : ['another SSH host key']),
  ];
}

import { diskIndex } from '../text/disk-letters.js';
import type { DeviceContext } from './device-names.js';

/** The disk and partition (0: the whole disk) that a kernel or udev name meant on the old hypervisor. */
export interface DiskPlace {
  disk: number;
  partition: number;
}

/** Returns what an unstable name pointed to; null for other names and if the disk is unknown. */
export function devicePlace(spec: string, context: DeviceContext): DiskPlace | null {
  const [, kind = '', letters = '', number] = spec.match(/^\/dev\/(sd|hd|vd|xvd)([a-z]+)(\d*)$/) ?? [];
  if (letters !== '') {
    const order = diskIndex(letters);
    const disk = kind === 'hd' ? onController('ide', Math.floor(order / 2), order % 2, context) : null;
    return { disk: disk ?? order, partition: Number(number || 0) };
  }
  const [, device, namespace, partition] = spec.match(/^\/dev\/nvme(\d+)n(\d+)(?:p(\d+))?$/) ?? [];
  if (device !== undefined) {
    // VMware makes each disk a namespace of one controller; others give each disk a controller.
    const unit = Number(namespace) - 1;
    const disk = onController('nvme', Number(device), unit, context) ?? Number(device) + unit;
    return { disk, partition: Number(partition ?? 0) };
  }
  const azure = spec.match(/^\/dev\/disk\/azure\/root(?:-part(\d+))?$/);
  if (azure !== null) return { disk: 0, partition: Number(azure[1] ?? 0) };
  const link = spec.match(/^\/dev\/disk\/by-(path|id)\/(.+?)(?:-part(\d+))?$/);
  if (link === null) return null;
  // Disk images contain some serial numbers; otherwise only a VM with one disk is unambiguous. The same holds
  // for a path on an unknown bus.
  const [, kindOfLink, name = ''] = link;
  const known = kindOfLink === 'path' ? diskOfPath(name, context) : diskOfId(name, context);
  const disk = diskCount(context) === 1 ? 0 : known;
  return disk === null ? null : { disk, partition: Number(link[3] ?? 0) };
}

/**
 * Returns the disk whose identifier is in the link's name, or null if there is none or several. VMware uses the
 * whole identifier (`wwn-0x6000c29…`, `scsi-36000c29…`), VirtualBox the first four bytes of its UUID and the
 * last four in reverse order (`ata-VBOX_HARDDISK_VB2ad76c0e-44332211`).
 */
function diskOfId(name: string, context: DeviceContext): number | null {
  const { filesystems } = context;
  const link = name.toLowerCase();
  const place = diskOfVmwareSerial(link, context);
  if (place !== null) return place;
  const matches = (id: string) => link.includes(id) || link.includes(virtualBoxSerial(id));
  const disks = new Set(
    filesystems.flatMap(({ disk, disk_ids = [] }) => (disk !== null && disk_ids.some(matches) ? [disk] : [])),
  );
  const [only, ...others] = disks;
  return only === undefined || others.length > 0 ? null : only;
}

/**
 * Returns the disk whose place VMware wrote into its serial number: SATA's port and IDE's channel and unit begin one
 * of twenty digits; an NVMe disk has its controller's number, and its namespace behind it.
 */
function diskOfVmwareSerial(link: string, context: DeviceContext): number | null {
  const [, kind, first = '', second = ''] =
    /^ata-vmware_virtual_(sata|ide)_hard_drive_(\d)(\d)0{17}1$/.exec(link) ?? [];
  if (kind === 'ide') return onController('ide', Number(first), Number(second), context);
  // Which controller it is, only a VM with one tells.
  const isOne = context.controllers.every((name) => !/^sata[1-9]/.test(name ?? ''));
  if (kind === 'sata') return isOne ? onController('sata', 0, Number(first + second), context) : null;
  const [, controller, namespace] =
    /^nvme-vmware_virtual_nvme_disk_vmware_nvme_(\d{4})_(\d{1,2})$/.exec(link) ?? [];
  return namespace === undefined
    ? null
    : onController('nvme', Number(controller), Number(namespace) - 1, context);
}

const virtualBoxSerial = (id: string) =>
  `vb${id.slice(0, 8)}-${Buffer.from(id.slice(24), 'hex').reverse().toString('hex')}`;

/**
 * Resolves udev's path_id: `pci-0000:03:00.0-scsi-0:0:T:L`, `pci-…-sas-phyT-lun-0`, `pci-…-ata-N[.M]`,
 * `pci-…-nvme-N`. T counts from 0, ports and namespaces from 1.
 */
function diskOfPath(path: string, context: DeviceContext): number | null {
  const [, address = '', target] =
    path.match(/^pci-([0-9a-f:.]+)-(?:scsi-\d+:\d+:(?=\d+:\d+$)|sas-phy(?=\d+-lun-\d+$))(\d+)/) ?? [];
  if (target !== undefined) return diskOfTarget(address, Number(target), context);
  const [, kind = '', port] = path.match(/-(ata|nvme)-(\d+)(?:\.\d+)?$/) ?? [];
  if (port === undefined) return null;
  const unit = Number(port) - 1;
  const known = onController(kind === 'ata' ? 'sata' : kind, 0, unit, context);
  return known ?? (unit >= 0 && unit < diskCount(context) ? unit : null);
}

/**
 * Where VMware puts the first adapter: PVSCSI and LSI SAS in slot 160, LSI parallel in slot 16. Further ones
 * take the free slots after it.
 */
const FIRST_ADAPTER = /^0000:(03:00\.0|00:10\.0)$/;

/**
 * Returns the disk at a target of the SCSI adapter at a PCI address. The address identifies the adapter only
 * if there are one or two. If nothing is known, the first adapter's targets are the disks' order; target 7 is
 * the adapter's own, so VMware gives it to no disk.
 */
function diskOfTarget(address: string, target: number, context: DeviceContext): number | null {
  const buses = [
    ...new Set(context.controllers.flatMap((name) => name?.match(/^scsi(\d+):/)?.[1] ?? [])),
  ].sort();
  const [first, ...further] = buses;
  const isFirst = FIRST_ADAPTER.test(address);
  if (first === undefined) {
    const order = target > 7 ? target - 1 : target;
    return isFirst && order < diskCount(context) ? order : null;
  }
  const bus = isFirst || further.length === 0 ? first : further.length === 1 ? further[0] : undefined;
  return bus === undefined ? null : onController('scsi', Number(bus), target, context);
}

/** Returns the index of the disk that the VM's description has at a controller's unit. */
function onController(
  kind: string,
  controller: number,
  unit: number,
  { controllers }: DeviceContext,
): number | null {
  const index = controllers.indexOf(`${kind}${controller}:${unit}`);
  return index === -1 ? null : index;
}

function diskCount({ controllers, filesystems }: DeviceContext): number {
  const known = filesystems.flatMap(({ disk }) => (disk === null ? [] : [disk + 1]));
  return Math.max(controllers.length, 0, ...known);
}

import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { CONTROLLERS } from './controllers.js';
import type { ObjectContent } from './properties.js';
import { textOf } from './session.js';

/** A VM as the API describes it; null for what it leaves out. */
export interface VmFacts {
  moref: string;
  name: string;
  instanceUuid: string | null;
  /** SMBIOS's UUID. */
  uuid: string | null;
  /** Another one after each change of the configuration, and each start. */
  changeVersion: string | null;
  /** `poweredOff`, `poweredOn`, `suspended`. */
  power: string;
  /** `connected`, or why the VM cannot be asked: `disconnected`, `inaccessible`, … */
  connection: string;
  /** Id of the host that it is registered on. */
  host: string | null;
  /** `[datastore1] web01/web01.vmx` */
  configFile: string | null;
  guestId: string | null;
  firmware: 'bios' | 'efi';
  secureBoot: boolean;
  tpm: boolean;
  memoryMib: number | null;
  vcpus: number | null;
  controllers: VmController[];
  disks: VmDisk[];
  nics: VmNic[];
  /** `scsi0:1`: the disks that are tried first. */
  bootOrder: string[];
}

interface VmController {
  /** `scsi0` */
  name: string;
  /** `pvscsi`, as a .vmx calls it; null for the only kind of its bus. */
  model: string | null;
  /** Several VMs may use its disks at once, on one host or on several. */
  isShared: boolean;
}

export interface VmDisk {
  /** Number of the device. */
  key: string | null;
  /** `scsi0:0` */
  slot: string;
  /** `Hard disk 1` */
  label: string;
  /** Datastore paths of its states, the newest first. */
  chain: string[];
  /** Type of its backing: `VirtualDiskFlatVer2BackingInfo`. */
  backing: string;
  /** Bytes that the guest sees. */
  capacity: number | null;
  /** `persistent`, `independent_persistent`. */
  mode: string | null;
  /** Another one after each change of what the disk holds. */
  contentId: string | null;
  isEncrypted: boolean;
  /** With other VMs: by itself (multi-writer), or by its controller. */
  sharing: 'multi-writer' | 'bus' | null;
}

interface VmNic {
  model: string | null;
  mac: string | null;
  network: string | null;
  slot: number | null;
}

/** Of `config`, which has much more. */
const CONFIG_PATHS = [
  'changeVersion',
  'instanceUuid',
  'uuid',
  'guestId',
  'firmware',
  'bootOptions',
  'files.vmPathName',
  'hardware',
] as const;

/** What `factsOf` reads. */
export const VM_PATHS: readonly string[] = [
  'name',
  'runtime.powerState',
  'runtime.connectionState',
  'runtime.host',
  ...CONFIG_PATHS.map((path) => `config.${path}`),
];

const MAX_CHAIN = 256;

const CARDS: Readonly<Record<string, string | null>> = {
  VirtualVmxnet3: 'vmxnet3',
  VirtualVmxnet3Vrdma: 'vmxnet3',
  VirtualVmxnet2: 'vmxnet',
  VirtualVmxnet: 'vmxnet',
  VirtualE1000: 'e1000',
  VirtualE1000e: 'e1000e',
  VirtualPCNet32: 'vlance',
  VirtualSriovEthernetCard: null,
};

/** Reads the properties of `VM_PATHS`. Never throws: what a server leaves out, or writes wrongly, is null. */
export function factsOf({ self, properties }: ObjectContent): VmFacts {
  const text = (path: string) => properties.get(path)?.text ?? null;
  const config = (path: (typeof CONFIG_PATHS)[number]) => properties.get(`config.${path}`);
  const configText = (path: (typeof CONFIG_PATHS)[number]) => config(path)?.text ?? null;
  const hardware = config('hardware');
  const boot = config('bootOptions');
  const devices = childrenNamed(hardware, 'device');
  const buses = busesOf(devices);
  const disks = devices.filter((device) => typeOf(device) === 'VirtualDisk');
  return {
    moref: self.id,
    name: text('name') ?? self.id,
    instanceUuid: configText('instanceUuid'),
    uuid: configText('uuid'),
    changeVersion: configText('changeVersion'),
    power: text('runtime.powerState') ?? 'unknown',
    connection: text('runtime.connectionState') ?? 'unknown',
    host: text('runtime.host'),
    configFile: configText('files.vmPathName'),
    guestId: configText('guestId'),
    firmware: configText('firmware') === 'efi' ? 'efi' : 'bios',
    secureBoot: textOf(boot, 'efiSecureBootEnabled') === 'true',
    tpm: devices.some((device) => typeOf(device) === 'VirtualTPM'),
    memoryMib: integer(textOf(hardware, 'memoryMB')),
    vcpus: integer(textOf(hardware, 'numCPU')),
    controllers: [...buses.values()],
    disks: disks.map((device) => diskOf(device, buses)),
    nics: devices.filter((device) => Object.hasOwn(CARDS, typeOf(device))).map(nicOf),
    bootOrder: childrenNamed(boot, 'bootOrder').flatMap((entry) => {
      const disk = disks.find((device) => textOf(device, 'key') === textOf(entry, 'deviceKey'));
      return disk === undefined ? [] : [slotOf(disk, buses)];
    }),
  };
}

function busesOf(devices: readonly XmlElement[]): Map<string, VmController> {
  const buses = new Map<string, VmController>();
  for (const device of devices) {
    const kind = Object.hasOwn(CONTROLLERS, typeOf(device)) ? CONTROLLERS[typeOf(device)]! : null;
    const key = textOf(device, 'key');
    const number = integer(textOf(device, 'busNumber'));
    if (kind !== null && key !== null && number !== null)
      buses.set(key, {
        name: `${kind.bus}${number}`,
        model: kind.model,
        isShared: isSharing(textOf(device, 'sharedBus'), 'noSharing'),
      });
  }
  return buses;
}

function isSharing(text: string | null, none: string): boolean {
  return text !== null && text !== '' && text !== none;
}

function slotOf(device: XmlElement, buses: ReadonlyMap<string, VmController>): string {
  const bus = buses.get(textOf(device, 'controllerKey') ?? '')?.name ?? 'scsi0';
  return `${bus}:${integer(textOf(device, 'unitNumber')) ?? 0}`;
}

function diskOf(device: XmlElement, buses: ReadonlyMap<string, VmController>): VmDisk {
  const [backing] = childrenNamed(device, 'backing');
  const chain: string[] = [];
  for (
    let layer = backing;
    layer !== undefined && chain.length < MAX_CHAIN;
    [layer] = childrenNamed(layer, 'parent')
  )
    chain.push(textOf(layer, 'fileName') ?? '');
  const isOnSharedBus = buses.get(textOf(device, 'controllerKey') ?? '')?.isShared === true;
  return {
    key: textOf(device, 'key'),
    slot: slotOf(device, buses),
    label: textOf(childrenNamed(device, 'deviceInfo')[0], 'label') ?? `disk ${textOf(device, 'key')}`,
    chain,
    backing: backing === undefined ? '' : typeOf(backing),
    capacity: capacityOf(device),
    mode: textOf(backing, 'diskMode'),
    contentId: textOf(backing, 'contentId'),
    isEncrypted: childrenNamed(backing, 'keyId').length > 0,
    sharing: isSharing(textOf(backing, 'sharing'), 'sharingNone')
      ? 'multi-writer'
      : isOnSharedBus
        ? 'bus'
        : null,
  };
}

/** In bytes since version 5.5 of the API. */
function capacityOf(device: XmlElement): number | null {
  const bytes = size(textOf(device, 'capacityInBytes'));
  const kibibytes = size(textOf(device, 'capacityInKB'));
  return bytes ?? (kibibytes === null ? null : kibibytes * 1024);
}

function nicOf(device: XmlElement): VmNic {
  const [backing] = childrenNamed(device, 'backing');
  return {
    model: CARDS[typeOf(device)]!,
    mac: textOf(device, 'macAddress'),
    network: textOf(backing, 'deviceName') ?? textOf(childrenNamed(backing, 'port')[0], 'portgroupKey'),
    slot: integer(textOf(childrenNamed(device, 'slotInfo')[0], 'pciSlotNumber')),
  };
}

/** `xsi:type` without its prefix. */
function typeOf(element: XmlElement): string {
  return element.attributes.get('type')?.split(':').at(-1) ?? '';
}

function size(text: string | null): number | null {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

function integer(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

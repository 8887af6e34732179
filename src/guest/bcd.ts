import { Hyper2kvmError } from '../errors/error.js';
import { guidText } from '../text/guid.js';
import type { Hive, RegistryKey } from './registry/hive.js';

/**
 * Boot configuration stores (`\EFI\Microsoft\Boot\BCD`, `\Boot\BCD`): a registry hive, read by
 * `readBootStore(openHive(recoverHive(file, logs).bytes))`. Objects are keys named by GUIDs, their elements
 * keys named by eight hexadecimal digits (Microsoft, "Boot Configuration Data Reference"; the layout of
 * devices: ReactOS, boot/environ/include/bl.h, and real stores).
 */
export interface BootStore {
  /** What the boot manager starts where nobody chooses: null where the store names none that it has. */
  default: BootEntry | null;
  /** All that the boot manager shows, in its order. */
  shown: BootEntry[];
}

interface BootEntry {
  /** GUID of the object, in lower case, with braces. */
  id: string;
  description: string | null;
  /** `\Windows\system32\winload.efi`, on `device`. */
  path: string | null;
  /** By the loader's suffix: `.efi` is UEFI's, `.exe` BIOS's; null for another program. */
  firmware: 'uefi' | 'bios' | null;
  /** Where the loader is. */
  device: BootDevice | null;
  /** Where the system is, and its directory there (`\Windows`). */
  osDevice: BootDevice | null;
  systemRoot: string | null;
  /** Drivers with a test signature, or with none at all, are loaded. Here or in an object it inherits from. */
  testSigning: boolean;
  noIntegrityChecks: boolean;
  /** Safe mode: 0 minimal, 1 with network, 2 directory services; null for an ordinary start. */
  safeBoot: number | null;
  /** The element `graphicsmodedisabled` of this object itself. */
  graphicsDisabled: boolean;
}

type BootDevice =
  /** The partition that the boot manager came from. */
  | { kind: 'boot' }
  /** GUIDs in lower case without braces. */
  | { kind: 'partition'; scheme: 'gpt'; partition: string; disk: string }
  /** The partition's first byte, and the signature in the disk's MBR. */
  | { kind: 'partition'; scheme: 'mbr'; offset: number; signature: number }
  /** The first partition that has the file. */
  | { kind: 'locate' }
  /** A RAM disk, a virtual disk in a file, the network, a form that is not known. */
  | { kind: 'other'; type: number };

const BOOT_MANAGER = '{9dea862c-5cdd-4e70-acc1-f32b344d4795}';

/** Element numbers: the first digits are class and form, the last ones the meaning. */
const ELEMENT = {
  device: '11000001',
  path: '12000002',
  description: '12000004',
  inherit: '14000006',
  graphicsDisabled: '16000046',
  noIntegrityChecks: '16000048',
  testSigning: '16000049',
  osDevice: '21000001',
  systemRoot: '22000002',
  defaultObject: '23000003',
  displayOrder: '24000001',
  safeBoot: '25000080',
} as const;

/** Objects that an object inherits from, and those that they do: real ones are three deep. */
const MAX_INHERITED = 64;
const MAX_SHOWN = 256;

/** Throws `guest.bcd-incomplete` where the hive is no boot store. Damage throws `guest.hive-corrupt`. */
export function readBootStore(hive: Hive): BootStore {
  const objects = hive.key('Objects');
  const manager = objects?.key(BOOT_MANAGER);
  if (objects == null || manager == null)
    throw new Hyper2kvmError('guest.bcd-incomplete', 'the boot configuration has no boot manager');
  const shown = (texts(manager, ELEMENT.displayOrder) ?? [])
    .slice(0, MAX_SHOWN)
    .flatMap((id) => readEntry(objects, id) ?? []);
  const named = text(manager, ELEMENT.defaultObject);
  return { shown, default: named === null ? (shown[0] ?? null) : readEntry(objects, named) };
}

function readEntry(objects: RegistryKey, id: string): BootEntry | null {
  const object = objects.key(id);
  if (object === null) return null;
  const chain = withInherited(objects, object);
  const path = text(object, ELEMENT.path);
  return {
    id: object.name.toLowerCase(),
    description: text(object, ELEMENT.description),
    path,
    firmware: firmwareOf(path),
    device: device(object, ELEMENT.device),
    osDevice: device(object, ELEMENT.osDevice),
    systemRoot: text(object, ELEMENT.systemRoot),
    testSigning: flag(chain, ELEMENT.testSigning),
    noIntegrityChecks: flag(chain, ELEMENT.noIntegrityChecks),
    safeBoot: integer(chain, ELEMENT.safeBoot),
    graphicsDisabled: flag([object], ELEMENT.graphicsDisabled),
  };
}

function firmwareOf(path: string | null): BootEntry['firmware'] {
  if (path === null) return null;
  if (/\.efi$/i.test(path)) return 'uefi';
  return /\.exe$/i.test(path) ? 'bios' : null;
}

/** The object, then those that it inherits from: an element of a nearer one counts. */
function withInherited(objects: RegistryKey, object: RegistryKey): RegistryKey[] {
  const chain = [object];
  const seen = new Set([object.name.toLowerCase()]);
  for (const current of chain) {
    for (const id of texts(current, ELEMENT.inherit) ?? []) {
      const parent = chain.length < MAX_INHERITED ? objects.key(id) : null;
      if (parent === null || seen.has(parent.name.toLowerCase())) continue;
      seen.add(parent.name.toLowerCase());
      chain.push(parent);
    }
  }
  return chain;
}

const elementKey = (object: RegistryKey, element: string): RegistryKey | null =>
  object.key('Elements')?.key(element) ?? null;

/** A text of the store may end in a blank: that of real stores' `bootmgfw.efi ` does. */
const text = (object: RegistryKey, element: string): string | null =>
  elementKey(object, element)?.text('Element')?.trimEnd() ?? null;

const texts = (object: RegistryKey, element: string): string[] | null =>
  elementKey(object, element)?.texts('Element') ?? null;

function binary(object: RegistryKey, element: string): Buffer | null {
  return elementKey(object, element)?.value('Element')?.data ?? null;
}

function flag(chain: readonly RegistryKey[], element: string): boolean {
  for (const object of chain) {
    const data = binary(object, element);
    if (data !== null) return data.some((byte) => byte !== 0);
  }
  return false;
}

function integer(chain: readonly RegistryKey[], element: string): number | null {
  for (const object of chain) {
    const data = binary(object, element);
    if (data !== null && data.length === 8) return Number(data.readBigUInt64LE(0));
  }
  return null;
}

/** Type of a device, behind the 16 bytes of an object with its options. */
const BOOT = 5;
const PARTITION = 6;
const LOCATE = 8;
/** What the partition is on: a disk, and not one in a file or in memory. */
const LOCAL_DISK = 0;
const [GPT, MBR] = [0, 1];
const PARTITION_BYTES = 0x48;

function device(object: RegistryKey, element: string): BootDevice | null {
  const data = binary(object, element);
  if (data === null) return null;
  const type = data.length >= 0x14 ? data.readUInt32LE(0x10) : 0;
  if (type === BOOT) return { kind: 'boot' };
  if (type === LOCATE) return { kind: 'locate' };
  if (type !== PARTITION || data.length < PARTITION_BYTES || data.readUInt32LE(0x30) !== LOCAL_DISK)
    return { kind: 'other', type };
  const scheme = data.readUInt32LE(0x34);
  if (scheme === GPT)
    return { kind: 'partition', scheme: 'gpt', partition: guidText(data, 0x20), disk: guidText(data, 0x38) };
  if (scheme !== MBR) return { kind: 'other', type };
  const offset = Number(data.readBigUInt64LE(0x20));
  return { kind: 'partition', scheme: 'mbr', offset, signature: data.readUInt32LE(0x38) };
}

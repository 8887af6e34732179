import { Hyper2kvmError } from '../errors/error.js';
import type { Description } from '../model/description.js';
import type { Hardware, Nic } from '../model/hardware.js';
import { guidText } from '../text/guid.js';
import { compareNames } from './base/names.js';
import { decodeText } from './base/text.js';
import { expectedSlots, isExpressController } from './base/vmware-slots.js';

const MAX_LINES = 20_000;
/** The code page that a .vmx or .vmsd declares. */
export const VMWARE_ENCODING = /^[ \t]*\.encoding\s*=\s*"([^"]{1,40})"/m;
/** VMware's default boot order, which `bios.hddOrder` changes. */
const BUS_ORDER = ['scsi', 'sata', 'nvme', 'ide'];

/**
 * Parses the file of `key = "value"` lines (VMware Workstation's and ESXi's own format; keys are
 * case-insensitive, `|22` stands for a quote). Of two equal keys the last counts, as in VMware. Throws
 * `fetch.corrupt` for what is not a VMX.
 */
export function parseVmx(bytes: Buffer): Description {
  const values = readValues(decodeText(bytes, VMWARE_ENCODING));
  const get = (key: string) => values.get(key.toLowerCase()) ?? null;
  const disks = readDisks(values);
  return {
    hardware: {
      name: get('displayName'),
      memory_mib: positiveInteger(get('memSize')),
      vcpus: positiveInteger(get('numvcpus')) ?? 1,
      firmware: get('firmware')?.toLowerCase() === 'efi' ? 'uefi' : 'bios',
      nics: readNics(values),
      os_hint: get('guestOS'),
      ...(isTrue(get('uefi.secureBoot.enabled')) ? { secure_boot: true } : {}),
      ...(isTrue(get('vtpm.present')) ? { tpm: true } : {}),
      ...smbiosUuid(get('uuid.bios')),
    },
    disks: disks.map((disk) => ({ ...disk, capacity: null, format: null })),
    files: disks.map(({ file }) => file),
    warnings: [],
  };
}

function readValues(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/);
  if (lines.length > MAX_LINES)
    throw new Hyper2kvmError('fetch.corrupt', 'the .vmx has more than 20,000 lines', {
      advice: 'Copy the .vmx again, or leave it out: the disks are enough.',
    });
  const values = new Map<string, string>();
  for (const line of lines) {
    const match = /^\s*([A-Za-z0-9_.:-]+)\s*=\s*"([^"]*)"\s*$/.exec(line);
    if (match !== null) values.set(match[1]!.toLowerCase(), decodeEscapes(match[2]!));
  }
  if (values.size === 0) {
    throw new Hyper2kvmError('fetch.corrupt', 'the .vmx has no settings', {
      advice: 'Copy the .vmx again, or leave it out: the disks are enough.',
    });
  }
  return values;
}

function decodeEscapes(value: string): string {
  return value.replace(/\|([0-9A-Fa-f]{2})/g, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}

const isTrue = (value: string | null): boolean => value?.toLowerCase() === 'true';

/** `56 4d 0c 1e … - …`: the bytes as they are in the SMBIOS table. */
function smbiosUuid(text: string | null): Pick<Hardware, 'uuid'> {
  const digits = text?.replace(/[\s-]/g, '') ?? '';
  return /^[0-9a-f]{32}$/i.test(digits) ? { uuid: guidText(Buffer.from(digits, 'hex'), 0) } : {};
}

function readDisks(values: ReadonlyMap<string, string>): { controller: string; file: string }[] {
  const disks: { controller: string; file: string }[] = [];
  for (const [key, file] of values) {
    const match = /^((scsi|sata|nvme|ide)\d+:\d+)\.filename$/.exec(key);
    if (match === null) continue;
    const device = match[1]!;
    const present = values.get(`${device}.present`)?.toLowerCase() !== 'false';
    const type = values.get(`${device}.devicetype`)?.toLowerCase() ?? 'disk';
    if (!present || !type.includes('disk') || file === '' || /\.iso$/i.test(file)) continue;
    disks.push({ controller: device, file });
  }
  const first = new Map<string, number>();
  for (const device of (values.get('bios.hddorder') ?? '').toLowerCase().split(','))
    if (!first.has(device.trim())) first.set(device.trim(), first.size);
  const rank = (controller: string) => {
    const explicit = first.get(controller);
    return explicit !== undefined
      ? explicit - first.size
      : BUS_ORDER.indexOf(controller.replace(/\d.*$/, ''));
  };
  return disks.sort(
    (a, b) => rank(a.controller) - rank(b.controller) || compareNames(a.controller, b.controller),
  );
}

function readNics(values: ReadonlyMap<string, string>): Nic[] {
  const cards = new Set<string>();
  for (const key of values.keys()) {
    const match = /^(ethernet\d+)\./.exec(key);
    if (match !== null && values.get(`${match[1]}.present`)?.toLowerCase() === 'true') cards.add(match[1]!);
  }
  const nics = [...cards].sort(compareNames).map((card): Nic => {
    const type = values.get(`${card}.addresstype`)?.toLowerCase();
    const address = values.get(`${card}.address`);
    const generated = values.get(`${card}.generatedaddress`);
    const slot = positiveInteger(values.get(`${card}.pcislotnumber`) ?? null);
    const mac = (type === 'static' ? (address ?? generated) : (generated ?? address)) ?? '';
    return {
      mac: /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) ? mac.toLowerCase() : null,
      network: values.get(`${card}.networkname`) ?? values.get(`${card}.connectiontype`) ?? null,
      model: values.get(`${card}.virtualdev`) ?? null,
      ...(slot === null ? {} : { pci_slot: slot }),
    };
  });
  if (nics.length < 2 || nics.some(({ pci_slot }) => pci_slot !== undefined)) return nics;
  const models = nics.map(({ model }) => model);
  const slots = expectedSlots(models, expressControllers(values));
  return nics.map((nic, index) => (slots[index] === undefined ? nic : { ...nic, likely_slot: slots[index] }));
}

/** Returns the number of SCSI controllers on PCI Express; `lsilogic`, the default, is on conventional PCI. */
function expressControllers(values: ReadonlyMap<string, string>): number {
  return ['scsi0', 'scsi1', 'scsi2', 'scsi3'].filter(
    (controller) =>
      values.get(`${controller}.present`)?.toLowerCase() === 'true' &&
      isExpressController(values.get(`${controller}.virtualdev`) ?? ''),
  ).length;
}

function positiveInteger(text: string | null): number | null {
  if (text === null || !/^\d{1,8}$/.test(text)) return null;
  const value = Number(text);
  return value > 0 ? value : null;
}

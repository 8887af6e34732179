import type { Description } from '../../model/description.js';
import type { Nic } from '../../model/hardware.js';
import { corrupt } from '../base/bytes.js';
import { MAX_VIRTUAL_SIZE, SECTOR } from '../base/format.js';
import { compareNames } from '../base/names.js';
import { childrenNamed, parseXml, type XmlElement } from '../ovf/xml.js';

export const XVA_DESCRIPTION = 'ova.xml';

export interface XvaDisk {
  /** Its folder in the archive: `Ref:12`. */
  ref: string;
  /** Bytes. */
  size: number;
  /** The device number that the VM knows it by: `0` is xvda. */
  device: string;
}

const MIB = 2 ** 20;

/** Returns the plain file that a disk becomes. */
export function xvaFile({ ref }: Pick<XvaDisk, 'ref'>): string {
  return `${ref.replace(':', '-')}.raw`;
}

/**
 * Parses the `ova.xml` of an XVA (a value of XML-RPC with all objects of XenAPI that belong to the VM). Throws
 * `fetch.corrupt`.
 */
export function parseXva(bytes: Buffer): { description: Description; disks: XvaDisk[] } {
  const objects = objectsIn(parseXml(bytes));
  const of = (kind: string) => objects.filter((object) => object.kind === kind);
  // A VM's own snapshots and templates are VMs too.
  const machines = of('VM').filter(({ fields }) => !isTrue(fields, 'is_a_snapshot'));
  const vm = machines[0];
  if (vm === undefined) throw corrupt(`the ${XVA_DESCRIPTION} describes no VM`);
  const isOwn = ({ fields }: XenObject) => text(fields, 'VM') === vm.id;
  const sizes = new Map(of('VDI').map(({ id, fields }) => [id, Number(text(fields, 'virtual_size') ?? '')]));
  const disks = of('VBD')
    .filter(isOwn)
    .filter(({ fields }) => text(fields, 'type')?.toLowerCase() === 'disk' && !isTrue(fields, 'empty'))
    .map(({ fields }): XvaDisk => {
      const ref = text(fields, 'VDI') ?? '';
      return { ref, size: checkedSize(ref, sizes.get(ref)), device: text(fields, 'userdevice') ?? '' };
    })
    .sort((a, b) => compareNames(a.device, b.device));
  if (new Set(disks.map(({ ref }) => ref)).size < disks.length)
    throw corrupt(`the ${XVA_DESCRIPTION} has a disk twice`);
  const networks = new Map(of('network').map(({ id, fields }) => [id, text(fields, 'name_label')]));
  const nics = of('VIF')
    .filter(isOwn)
    .sort((a, b) => compareNames(text(a.fields, 'device') ?? '', text(b.fields, 'device') ?? ''));
  const { fields } = vm;
  return {
    disks,
    description: {
      hardware: {
        name: text(fields, 'name_label'),
        memory_mib: memoryOf(fields),
        vcpus: integer(text(fields, 'VCPUs_at_startup')) ?? integer(text(fields, 'VCPUs_max')),
        firmware: member(fields, 'HVM_boot_params').get('firmware') === 'uefi' ? 'uefi' : 'bios',
        nics: nics.map(({ fields: card }) => nicOf(card, networks)),
        os_hint: text(fields, 'reference_label'),
      },
      disks: disks.map((disk) => ({
        controller: null,
        file: xvaFile(disk),
        capacity: null,
        format: 'raw',
      })),
      files: disks.map(xvaFile),
      warnings: [],
    },
  };
}

function checkedSize(ref: string, size: number | undefined): number {
  if (!/^Ref:\d{1,9}$/.test(ref) || size === undefined)
    throw corrupt(`the ${XVA_DESCRIPTION} has a disk that it does not describe`);
  if (!(size > 0 && size <= MAX_VIRTUAL_SIZE && size % SECTOR === 0))
    throw corrupt(`the ${XVA_DESCRIPTION} declares an impossible size for ${ref}`);
  return size;
}

/** In bytes; the dynamic maximum is what the VM gets. */
function memoryOf(fields: Struct): number | null {
  const bytes = integer(text(fields, 'memory_dynamic_max')) ?? integer(text(fields, 'memory_static_max'));
  return bytes === null || bytes < MIB ? null : Math.floor(bytes / MIB);
}

function nicOf(fields: Struct, networks: ReadonlyMap<string, string | null>): Nic {
  const mac = (text(fields, 'MAC') ?? '').toLowerCase();
  return {
    mac: /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) ? mac : null,
    network: networks.get(text(fields, 'network') ?? '') ?? null,
    model: null,
  };
}

type Struct = Map<string, string | Struct>;

interface XenObject {
  kind: string;
  id: string;
  fields: Struct;
}

function objectsIn(root: XmlElement): XenObject[] {
  const array = childrenNamed(memberElement(root, 'objects'), 'array')[0];
  return childrenNamed(childrenNamed(array, 'data')[0], 'value').flatMap((value) => {
    const fields = structOf(value);
    const [kind, id, snapshot] = [text(fields, 'class'), text(fields, 'id'), fields.get('snapshot')];
    return kind === null || id === null || !(snapshot instanceof Map) ? [] : [{ kind, id, fields: snapshot }];
  });
}

/** Returns the value of a member of `<value><struct>`. */
function memberElement(value: XmlElement, name: string): XmlElement | undefined {
  const members = childrenNamed(childrenNamed(value, 'struct')[0], 'member');
  const found = members.find((candidate) => childrenNamed(candidate, 'name')[0]?.text === name);
  return childrenNamed(found, 'value')[0];
}

/** Arrays are left out: nothing here needs them. */
function structOf(value: XmlElement): Struct {
  const members = childrenNamed(childrenNamed(value, 'struct')[0], 'member');
  return new Map(
    members.flatMap((element): [string, string | Struct][] => {
      const content = childrenNamed(element, 'value')[0];
      const name = childrenNamed(element, 'name')[0]?.text;
      if (content === undefined || name === undefined) return [];
      const [only] = content.children;
      if (only?.name === 'struct') return [[name, structOf(content)]];
      // `<value>text</value>`, or with a type: `<value><boolean>0</boolean></value>`.
      return [[name, only === undefined ? content.text : only.text]];
    }),
  );
}

function member(fields: Struct, name: string): Struct {
  const found = fields.get(name);
  return found instanceof Map ? found : new Map();
}

function text(fields: Struct, name: string): string | null {
  const found = fields.get(name);
  return typeof found === 'string' && found !== '' ? found : null;
}

function isTrue(fields: Struct, name: string): boolean {
  return ['1', 'true'].includes(text(fields, name) ?? '');
}

function integer(written: string | null): number | null {
  return written !== null && /^\d{1,15}$/.test(written) && Number(written) > 0 ? Number(written) : null;
}

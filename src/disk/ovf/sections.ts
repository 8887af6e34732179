import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt } from '../base/bytes.js';
import { childrenNamed, type XmlElement } from './xml.js';

/**
 * Returns the children that are a section or a system of that name. OVF 0.9 (and oVirt, which still writes
 * it) names all of them `Section` or `Content` and gives the kind in `xsi:type`: `ovf:DiskSection_Type`.
 */
export function sections(element: XmlElement | undefined, name: string): XmlElement[] {
  return (
    element?.children.filter((child) => {
      if (child.name === name) return true;
      if (child.name !== 'Section' && child.name !== 'Content') return false;
      return child.attributes.get('type')?.split(':').at(-1) === `${name}_Type`;
    }) ?? []
  );
}

/** True for an attribute that XML Schema reads as true. */
export const isTrue = (text: string | undefined): boolean => text === 'true' || text === '1';

/** Returns the text of an element's child; null without one. */
export function field(element: XmlElement | undefined, ...names: readonly string[]): string | null {
  for (const name of names) {
    const text = childrenNamed(element, name)[0]?.text ?? '';
    if (text !== '') return text;
  }
  return null;
}

/**
 * Returns the VM of an envelope, also inside a collection, in which vCloud Director wraps each: the only one,
 * or the one whose id or name is `wanted`. Throws `fetch.several-vms`, `fetch.corrupt`.
 */
export function systemOf(envelope: XmlElement, wanted: string | null): XmlElement {
  const all = systemsIn(envelope);
  if (all.length === 0) throw corrupt('the .ovf describes no VM');
  const id = (system: XmlElement) => system.attributes.get('id');
  const isWanted = (system: XmlElement) => id(system) === wanted || field(system, 'Name') === wanted;
  const [found, another] = wanted === null ? all : all.filter(isWanted);
  if (found !== undefined && another === undefined) return found;
  const ids = all.map((system) => printable(id(system) ?? field(system, 'Name') ?? '?', 60)).join(', ');
  const message =
    wanted === null
      ? 'the OVF describes several VMs'
      : `the OVF describes no VM, or several, with the id or name ${printable(wanted)}`;
  throw new Hyper2kvmError('fetch.several-vms', message, {
    advice: `Select one in its job.toml: [vm] system = one of ${ids}. Drop it again for each further VM.`,
  });
}

function systemsIn(element: XmlElement): XmlElement[] {
  const collections = sections(element, 'VirtualSystemCollection');
  return [...sections(element, 'VirtualSystem'), ...collections.flatMap(systemsIn)];
}

/**
 * Returns the deployment option that applies (DSP0243, 9.8): the wanted one, otherwise the default, otherwise
 * the first. Null if the OVF has none. Throws `fetch.unknown-configuration`.
 */
export function configurationOf(envelope: XmlElement, wanted: string | null): string | null {
  const options = sections(envelope, 'DeploymentOptionSection').flatMap((section) =>
    childrenNamed(section, 'Configuration'),
  );
  const ids = options.flatMap(({ attributes }) => attributes.get('id') ?? []);
  if (wanted !== null && !ids.includes(wanted)) {
    throw new Hyper2kvmError(
      'fetch.unknown-configuration',
      `the OVF has no configuration ${printable(wanted)}`,
      {
        facts:
          ids.length === 0 ? 'It has none.' : `It has: ${ids.map((id) => printable(id, 60)).join(', ')}.`,
      },
    );
  }
  const marked = options.find(({ attributes }) => isTrue(attributes.get('default')));
  return wanted ?? marked?.attributes.get('id') ?? ids[0] ?? null;
}

/** A virtual device (CIM_ResourceAllocationSettingData). */
export interface Item {
  element: XmlElement;
  /** ResourceType. */
  type: string;
  /** InstanceID. */
  id: string;
}

const ITEMS = new Set(['Item', 'StorageItem', 'EthernetPortItem']);

/**
 * Returns the devices that the VM has in a configuration (DSP0243, 8.4 and 9.8): those without a
 * configuration and those of this one, which replace the general ones with the same InstanceID. The bounds of
 * a range are not devices.
 */
export function itemsOf(hardware: XmlElement | undefined, configuration: string | null): Item[] {
  const found = (hardware?.children ?? []).flatMap((element) => {
    const { attributes } = element;
    const only = attributes.get('configuration')?.trim().split(/\s+/);
    const applies = only === undefined || (configuration !== null && only.includes(configuration));
    if (!ITEMS.has(element.name) || !applies || (attributes.get('bound') ?? 'normal') !== 'normal') return [];
    const id = field(element, 'InstanceID', 'InstanceId') ?? '';
    return [{ element, type: field(element, 'ResourceType') ?? '', id, isPlain: only === undefined }];
  });
  const replaced = new Set(found.flatMap(({ id, isPlain }) => (isPlain || id === '' ? [] : [id])));
  return found.filter(({ id, isPlain }) => !isPlain || !replaced.has(id));
}

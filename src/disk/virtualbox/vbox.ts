import { Hyper2kvmError } from '../../errors/error.js';
import { referencedName } from '../base/names.js';
import { childrenNamed, parseXml, type XmlElement } from '../ovf/xml.js';

/**
 * Returns the disks that VirtualBox's machine file (`.vbox`) says others are made on, as plain names, sorted:
 * the VM has written to none of them since, so none is a disk's newest state. Empty without snapshots. Names
 * that lead elsewhere are passed over. Throws `fetch.corrupt`.
 */
export function parseVbox(bytes: Buffer): string[] {
  const machine = childrenNamed(parseXml(bytes), 'Machine')[0];
  const registry = childrenNamed(machine, 'MediaRegistry')[0];
  const names = new Set<string>();
  const add = (disk: XmlElement) => {
    const children = childrenNamed(disk, 'HardDisk');
    const name = children.length > 0 ? plainName(disk.attributes.get('location') ?? '') : null;
    if (name !== null) names.add(name);
    for (const child of children) add(child);
  };
  for (const disks of childrenNamed(registry, 'HardDisks'))
    for (const disk of childrenNamed(disks, 'HardDisk')) add(disk);
  return [...names].sort();
}

function plainName(location: string): string | null {
  try {
    return referencedName(location, 'the .vbox');
  } catch (error) {
    if (error instanceof Hyper2kvmError) return null;
    throw error;
  }
}

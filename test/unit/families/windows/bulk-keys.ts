import { binary, dword, type MadeValue, multiSz, sz } from '../../guest/registry/make-hive.js';
import type { Keys } from './make-windows.js';

/** A type that is none of regedit's: properties of devices have such. */
const odd = (type: number, hex: string): MadeValue => ({ name: '', type, data: Buffer.from(hex, 'hex') });

/**
 * Device instances as Windows keeps them, ten keys each: a real SYSTEM hive has 20,000 to 43,000 keys, and one
 * value of some ten thousand bytes.
 */
export function bulkKeys(devices: number): Keys {
  const keys: Keys = {
    '@\\Control\\ProductOptions': [binary('ProductPolicy', '5a'.repeat(40_000))],
  };
  for (let index = 0; index < devices; index += 1) {
    const hex = index.toString(16).toUpperCase().padStart(4, '0');
    const device = `@\\Enum\\PCI\\VEN_8086&DEV_${hex}\\3&2411E6FE&0&${hex}`;
    keys[device] = [
      sz('DeviceDesc', `@machine.inf,%pci\\ven_8086&dev_${hex}.devicedesc%;Controller ${index}`),
      multiSz('HardwareID', [`PCI\\VEN_8086&DEV_${hex}&SUBSYS_197615AD&REV_01`, `PCI\\VEN_8086&DEV_${hex}`]),
      dword('ConfigFlags', 0),
      multiSz('UpperFilters', ['partmgr']),
    ];
    keys[`${device}\\Device Parameters`] = [];
    for (const property of ['0002', '0003', '0004', '0005', '0006', '0007'])
      keys[`${device}\\Properties\\{a8b865dd-2e3d-4094-ad97-e593a70c75d6}\\${property}`] = [
        odd(0xffff0012, Buffer.from(`property ${property}\0`, 'utf16le').toString('hex')),
      ];
  }
  return keys;
}

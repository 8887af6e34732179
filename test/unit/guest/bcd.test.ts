import { describe, expect, it } from 'vitest';
import { readBootStore } from '../../../src/guest/bcd.js';
import { openHive } from '../../../src/guest/registry/hive.js';
import { binary, type MadeKey, type MadeValue, makeHive, multiSz, sz } from './registry/make-hive.ts';

const MANAGER = '{9dea862c-5cdd-4e70-acc1-f32b344d4795}';
const LOADER = '{733b62e5-f608-11eb-825c-c112f60133ab}';
const OTHER = '{11111111-2222-3333-4444-555555555555}';
const LOADER_SETTINGS = '{6efb52bf-1766-41db-a6b3-0ee5eff72bd7}';
const GLOBAL_SETTINGS = '{7ea2e1ac-2e61-4728-aaa3-896d9d0a9f0e}';

/** Devices as they stand in the store of a Windows 10 on UEFI, and after WINDOWS-FIXES.md for an MBR disk. */
const GPT_DEVICE =
  '00000000000000000000000000000000 06000000 00000000 48000000 00000000 382c0f8eeae4ba47b7fc9d8c74dccf0b' +
  '00000000 00000000 a994230b5e097d488d48719ecd4d78ca 00000000000000000000000000000000';
const MBR_DEVICE =
  '00000000000000000000000000000000 06000000 00000000 48000000 00000000 00001000000000000000000000000000' +
  '00000000 01000000 3ea0be5c000000000000000000000000 00000000000000000000000000000000';
const BOOT_DEVICE = '00000000000000000000000000000000 05000000 00000000 10000000 00000000';
const LOCATE_DEVICE = '00000000000000000000000000000000 08000000 00000000 30000000 00000000';
const RAMDISK =
  'e7623b7308f6eb11825cc112f60133ab 00000000 01000000 b8000000 00000000 03000000 00000000 0000000000000000';

function store(objects: Record<string, Record<string, MadeValue>>): MadeKey {
  const keys = Object.entries(objects).map(([name, elements]) => ({
    name,
    keys: [
      { name: 'Description' },
      {
        name: 'Elements',
        keys: Object.entries(elements).map(([element, value]) => ({
          name: element,
          values: [{ ...value, name: 'Element' }],
        })),
      },
    ],
  }));
  return { name: 'NewStoreRoot', keys: [{ name: 'Description' }, { name: 'Objects', keys }] };
}

const read = (objects: Record<string, Record<string, MadeValue>>) =>
  readBootStore(openHive(makeHive(store(objects))));
const loader = (device: string, path = '\\Windows\\system32\\winload.efi') => ({
  '11000001': binary('', device),
  '12000002': sz('', path),
  '12000004': sz('', 'Windows 10'),
  '21000001': binary('', device),
  '22000002': sz('', '\\Windows'),
});
const manager = { '23000003': sz('', LOADER), '24000001': multiSz('', [OTHER, LOADER]) };

describe('a boot store', () => {
  it('says what is started, from which partition, under which firmware', () => {
    const { default: entry, shown } = read({ [MANAGER]: manager, [LOADER]: loader(GPT_DEVICE) });
    const device = {
      kind: 'partition',
      scheme: 'gpt',
      partition: '8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b',
      disk: '0b2394a9-095e-487d-8d48-719ecd4d78ca',
    };
    expect(entry).toEqual({
      id: LOADER,
      description: 'Windows 10',
      path: '\\Windows\\system32\\winload.efi',
      firmware: 'uefi',
      device,
      osDevice: device,
      systemRoot: '\\Windows',
      testSigning: false,
      noIntegrityChecks: false,
      safeBoot: null,
      graphicsDisabled: false,
    });
    // An entry that is shown but not there is passed over.
    expect(shown).toEqual([entry]);
  });

  it.each([
    [
      'the partition by its place and the disk by its signature',
      MBR_DEVICE,
      { kind: 'partition', scheme: 'mbr', offset: 1_048_576, signature: 0x5cbe_a03e },
    ],
    ['the boot manager’s own partition', BOOT_DEVICE, { kind: 'boot' }],
    ['a search', LOCATE_DEVICE, { kind: 'locate' }],
    ['a RAM disk', RAMDISK, { kind: 'other', type: 0 }],
    [
      'a partition of another disk than a real one',
      GPT_DEVICE.replace(' 0000000000000000', ' 0600000000000000').replace('cf0b00000000', 'cf0b06000000'),
      { kind: 'other', type: 6 },
    ],
    ['nothing that is known', '00', { kind: 'other', type: 0 }],
    ['a partition that is cut off', GPT_DEVICE.slice(0, 120), { kind: 'other', type: 6 }],
  ])('names as a device %s', (_, device, expected) => {
    const { default: entry } = read({
      [MANAGER]: manager,
      [LOADER]: loader(device, '\\Windows\\system32\\WINLOAD.EXE'),
    });
    expect(entry?.osDevice).toEqual(expected);
    expect(entry?.firmware).toBe('bios');
  });

  it('has switches of the entry itself, and of what it inherits from, however that is nested', () => {
    const on = binary('', '01');
    const inherit = (...ids: string[]) => multiSz('', ids);
    const { default: entry } = read({
      [MANAGER]: manager,
      [LOADER]: { ...loader(BOOT_DEVICE), '14000006': inherit(LOADER_SETTINGS), '16000046': on },
      [LOADER_SETTINGS]: { '14000006': inherit(GLOBAL_SETTINGS, LOADER), '16000048': binary('', '00') },
      [GLOBAL_SETTINGS]: {
        '16000049': on,
        // A nearer object says no.
        '16000048': on,
        '25000080': binary('', '0100000000000000'),
      },
    });
    expect(entry).toMatchObject({
      testSigning: true,
      noIntegrityChecks: false,
      safeBoot: 1,
      graphicsDisabled: true,
    });
    // Only the entry's own graphics switch is one that can be deleted from it.
    const settings = { ...loader(BOOT_DEVICE), '14000006': inherit(LOADER_SETTINGS) };
    const inherited = read({ [MANAGER]: manager, [LOADER]: settings, [LOADER_SETTINGS]: { '16000046': on } });
    expect(inherited.default?.graphicsDisabled).toBe(false);
  });

  it('without a default starts the first that is shown', () => {
    const first = read({
      [MANAGER]: { '24000001': multiSz('', [OTHER, LOADER]) },
      [OTHER]: loader(BOOT_DEVICE),
    });
    expect(first.default?.id).toBe(OTHER);
    expect(read({ [MANAGER]: { '23000003': sz('', OTHER) } }).default).toBeNull();
    expect(read({ [MANAGER]: {} })).toEqual({ default: null, shown: [] });
  });

  it('is none without a boot manager', () => {
    for (const objects of [{}, { [LOADER]: loader(BOOT_DEVICE) }])
      expect(() => read(objects)).toThrow(expect.objectContaining({ code: 'guest.bcd-incomplete' }));
  });
});

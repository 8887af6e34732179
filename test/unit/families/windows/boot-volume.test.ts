import { describe, expect, it } from 'vitest';
import type { Guest } from '../../../../src/families/base/fixer.js';
import { bootStore } from '../../../../src/families/windows/boot-store.js';
import { readWindowsSnapshot } from '../../../../src/families/windows/inspect/snapshot.js';
import { uefiFallback } from '../../../../src/families/windows/uefi-fallback.js';
import type { WindowsIdentity } from '../../../../src/model/identity.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import type { MemoryDisks } from '../../access/memory-guest.js';
import { binary } from '../../guest/registry/make-hive.js';
import { guestOf } from '../guests.js';
import { inspectWindows } from './inspect-windows.js';
import { peHead, type WindowsRecipe, windowsDisks } from './make-windows.js';

const SERVER: WindowsRecipe = {
  ...{ build: 17_763, product: 'Windows Server 2019 Standard', edition: 'ServerStandard' },
  ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
  files: { '/Windows/Boot/EFI/bootmgfw.efi': 'as Windows keeps it' },
};
const BIOS: WindowsRecipe = { ...SERVER, firmware: 'bios' };
const NO_GRAPHICS = { '16000046': binary('Element', '01') };
const LOADER = '{733b62e5-f608-11eb-825c-c112f60133ab}';
const ELEMENT = `Objects\\${LOADER}\\Elements\\16000046`;
/** Where FIX mounts what the boot store is on. */
const ESP = '/Windows/Boot';

async function guestFor(disks: MemoryDisks): Promise<Guest<WindowsIdentity>> {
  const { identity, file } = await inspectWindows(disks);
  return { ...guestOf({}), identity, ...(await readWindowsSnapshot(file)) };
}

/** The disks with these files on the ESP, beside the boot store. */
function withLoaders(files: Record<string, Buffer | string>, recipe = SERVER): MemoryDisks {
  const disks = windowsDisks(recipe);
  Object.assign(disks.filesystems!['/dev/sda1']!, files);
  return disks;
}

describe('the boot store', () => {
  it('gets its graphics back, on the ESP that FIX mounts in an empty place', async () => {
    const guest = await guestFor(windowsDisks({ ...SERVER, loader: NO_GRAPHICS }));
    expect(guest.identity.mounts).toEqual([
      { device: '/dev/sda3', mountpoint: '/', options: '' },
      { device: '/dev/sda1', mountpoint: ESP, options: '' },
    ]);
    const { operations } = bootStore.plan(guest);
    const path = `${ESP}/EFI/Microsoft/Boot/BCD`;
    expect(operations).toMatchObject([
      { op: 'registry', path, changes: [{ change: 'delete-key', key: ELEMENT }] },
    ]);
    const after = applyOperations(guest, operations);
    expect(bootStore.plan(after).operations).toEqual([]);
  });

  it('is on the root itself where there is no other partition, and then nothing more is mounted', async () => {
    const recipe = { ...BIOS, loader: NO_GRAPHICS };
    const disks = windowsDisks(recipe, { partitions: { '/dev/sda1': { TYPE: '' } } });
    disks.filesystems!['/dev/sda2']!['/Boot/BCD'] = disks.filesystems!['/dev/sda1']!['/Boot/BCD']!;
    const guest = await guestFor(disks);
    expect(guest.identity.mounts).toHaveLength(1);
    expect(bootStore.plan(guest).operations).toMatchObject([{ path: '/Boot/BCD' }]);
  });

  it('stays as it is where graphics are on, also by an element that says so', async () => {
    for (const loader of [{}, { '16000046': binary('Element', '00') }]) {
      const guest = await guestFor(windowsDisks({ ...SERVER, loader }));
      expect(bootStore.plan(guest).operations).toEqual([]);
      expect(bootStore.proof!.paths(guest)).toEqual([]);
    }
  });

  it('stays as it is, with a warning, where FIX has no place to mount it', async () => {
    const guest = await guestFor(windowsDisks({ ...SERVER, loader: NO_GRAPHICS, files: {} }));
    expect(guest.identity.mounts).toHaveLength(1);
    expect(bootStore.plan(guest)).toMatchObject({
      operations: [],
      warnings: [{ code: 'windows.boot-volume', message: expect.stringContaining('/dev/sda1') }],
    });
    expect(uefiFallback.plan(guest).operations).toEqual([]);
  });

  it('is proven by what FIX leaves: graphics on, and the partition with Windows', async () => {
    const whole = windowsDisks({ ...SERVER, loader: NO_GRAPHICS });
    const guest = await guestFor(whole);
    const [path] = bootStore.proof!.paths(guest);
    expect(path).toBe(`${ESP}/EFI/Microsoft/Boot/BCD`);
    const storeOf = (disks: MemoryDisks) =>
      disks.filesystems!['/dev/sda1']!['/EFI/Microsoft/Boot/BCD'] as Buffer;
    const check = (bytes: Buffer | null) =>
      bootStore.proof!.check({ before: guest.tree, after: guest, read: () => bytes });
    expect(check(storeOf(windowsDisks(SERVER)))).toEqual(['the boot configuration starts /dev/sda3']);
    expect(() => check(storeOf(whole))).toThrow(/turns graphics off/);
    expect(() => check(null)).toThrow(/does not exist/);
    const other = storeOf(windowsDisks(SERVER));
    // The first byte of the partition's GUID, in each device.
    for (
      let at = other.indexOf('382c0f8eeae4ba47', 'hex');
      at !== -1;
      at = other.indexOf('382c0f8eeae4ba47', 'hex')
    )
      other[at] = 0;
    expect(() => check(other)).toThrow(/does not start \/dev\/sda3/);
  });
});

describe('the fallback loader', () => {
  const MANAGER = '/EFI/Microsoft/Boot/bootmgfw.efi';
  const loaderOf = (machine: 'x86' | 'amd64', mark: string) =>
    Buffer.concat([peHead(machine), Buffer.from(mark)]);

  it('becomes Windows’ boot manager where it is missing', async () => {
    const guest = await guestFor(withLoaders({ [MANAGER]: loaderOf('amd64', 'manager') }));
    const { operations } = uefiFallback.plan(guest);
    expect(operations).toMatchObject([
      { op: 'copy_file', from: `${ESP}${MANAGER}`, path: `${ESP}/EFI/Boot/bootx64.efi` },
    ]);
    expect(applyOperations(guest, operations).tree.exists(`${ESP}/EFI/Boot/bootx64.efi`)).toBe(true);
  });

  it('is replaced where it is another program, in the spelling that is there', async () => {
    const disks = withLoaders({ [MANAGER]: loaderOf('amd64', 'new'), '/EFI/BOOT/BOOTX64.EFI': 'shim' });
    expect(uefiFallback.plan(await guestFor(disks)).operations).toMatchObject([
      { fixer: 'windows-uefi-fallback', path: `${ESP}/EFI/BOOT/BOOTX64.EFI` },
    ]);
  });

  it('stays where it is the boot manager already, so that a second run plans nothing', async () => {
    const same = loaderOf('amd64', 'same');
    const disks = withLoaders({ [MANAGER]: same, '/EFI/Boot/bootx64.efi': Buffer.from(same) });
    expect(uefiFallback.plan(await guestFor(disks)).operations).toEqual([]);
  });

  it('has the name for the machine that the boot manager is for', async () => {
    const disks = withLoaders({ [MANAGER]: loaderOf('x86', 'm') }, { ...SERVER, machine: 'x86' });
    expect(uefiFallback.plan(await guestFor(disks)).operations).toMatchObject([
      { path: `${ESP}/EFI/Boot/bootia32.efi` },
    ]);
  });

  it('cannot be made without a boot manager; another program may start Windows, too', async () => {
    const alone = await guestFor(windowsDisks(SERVER));
    expect(() => uefiFallback.plan(alone)).toThrow(
      expect.objectContaining({ code: 'plan.uefi-no-loader', advice: expect.stringContaining('bcdboot') }),
    );
    const other = await guestFor(withLoaders({ '/EFI/Boot/bootx64.efi': 'grub' }));
    expect(uefiFallback.plan(other).operations).toEqual([]);
  });

  it('is no concern of a guest with a BIOS', async () => {
    expect(uefiFallback.plan(await guestFor(windowsDisks(BIOS))).operations).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { captureKeys } from '../../../../../src/families/windows/inspect/capture.js';
import { systemPlaces } from '../../../../../src/families/windows/inspect/what-to-capture.js';
import type { RegistryKey } from '../../../../../src/guest/registry/hive.js';
import { sz } from '../../../guest/registry/make-hive.js';
import { inspectWindows } from '../inspect-windows.js';
import { hiveOf, rootFiles, systemKeys, type WindowsRecipe, windowsDisks } from '../make-windows.js';

const RECIPE: WindowsRecipe = {
  ...{ build: 17763, product: 'Windows Server 2019 Standard', edition: 'ServerStandard' },
  ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
};
const CONFIG = '/Windows/System32/config';
const SYSTEM = `${CONFIG}/SYSTEM`;
const UNREADABLE = { code: 'inspect.hive-unreadable' };

const inspect = (files: NonNullable<WindowsRecipe['files']>) =>
  inspectWindows(windowsDisks({ ...RECIPE, files }));

/** The recipe's files below other directories. */
function moved(
  from: string,
  to: string,
  links: Record<string, string>,
): Record<string, Buffer | string | null> {
  const files = Object.entries(rootFiles(RECIPE)).map(([path, content]): [string, typeof content] => [
    path.startsWith(from) ? `${to}${path.slice(from.length)}` : path,
    content,
  ]);
  return { ...Object.fromEntries(files), ...links };
}

describe('a link', () => {
  const inspectFiles = (files: Record<string, Buffer | string | null>) => {
    const disks = windowsDisks(RECIPE);
    return inspectWindows({ ...disks, filesystems: { ...disks.filesystems, '/dev/sda3': files } });
  };

  it.each([
    ['the hive', SYSTEM, '/Users/SYSTEM'],
    ['its directory', CONFIG, '/Users/config'],
    ['the directory of Windows', '/Windows', '/Users/Windows'],
  ])('in the place of %s is refused: FIX would write elsewhere', async (_, from, to) => {
    const files = moved(from, to, { [from]: `-> ${to}` });
    await expect(inspectFiles(files)).rejects.toMatchObject({
      ...UNREADABLE,
      message: expect.stringContaining(`the link ${from}`),
    });
  });

  it('that leads nowhere, or to itself, is no hive', async () => {
    for (const target of ['/nowhere', SYSTEM])
      await expect(inspect({ [SYSTEM]: `-> ${target}` })).rejects.toMatchObject(UNREADABLE);
  });

  it('in the place of a driver or of the hibernation file is passed over', async () => {
    const files = {
      '/hiberfil.sys': '-> /secret',
      '/secret': Buffer.from('nothing'),
      // So ntfs-3g shows a file that Windows has compressed (WOF).
      '/Windows/System32/drivers/viostor.sys': '-> unsupported reparse tag 0x80000017',
      '/Windows/System32/ntoskrnl.exe': '-> unsupported reparse tag 0x80000017',
    };
    const system = {
      '@\\Services\\viostor': [sz('ImagePath', 'System32\\drivers\\viostor.sys')],
      '@\\Control\\Session Manager\\Environment': [sz('PROCESSOR_ARCHITECTURE', 'AMD64')],
    };
    const { identity } = await inspectWindows(windowsDisks({ ...RECIPE, files, system }));
    expect(identity).toMatchObject({ hibernated: false, virtio_drivers: [], architecture: 'x86_64' });
  });
});

describe('names that differ in their case alone', () => {
  it('are told apart: those that Windows makes itself are taken', async () => {
    const decoy = hiveOf(systemKeys({ ...RECIPE, controlSet: 3 }));
    const { identity } = await inspect({
      '/WINDOWS/System32/config/SYSTEM': decoy,
      '/windows/system32/config/system': decoy,
      [`${CONFIG}/system`]: decoy,
    });
    expect(identity).toMatchObject({ system_root: '/Windows', control_set: 1 });
  });
});

describe('a hive', () => {
  it('of a size that its file does not have, or that is a directory, is refused', async () => {
    const long = Buffer.from(rootFiles(RECIPE)[SYSTEM] as Buffer);
    long.writeUInt32LE(0xffff_f000, 40);
    await expect(inspect({ [SYSTEM]: long })).rejects.toMatchObject({
      code: expect.stringMatching(/^guest\.hive-/),
    });
    const files = moved(SYSTEM, `${SYSTEM}/x`, {});
    const disks = windowsDisks(RECIPE);
    const filesystems = { ...disks.filesystems, '/dev/sda3': { ...files, [`${SYSTEM}/`]: null } };
    await expect(inspectWindows({ ...disks, filesystems })).rejects.toMatchObject(UNREADABLE);
  });

  it('with millions of keys where devices are is refused within its budget', () => {
    let visited = 0;
    // A key that has a thousand of itself below it.
    const key = {
      name: 'K',
      key: () => key,
      values: () => [],
      *subkeys() {
        for (let index = 0; index < 1000; index++) {
          visited += 1;
          yield key;
        }
      },
    } as unknown as RegistryKey;
    const capture = () => captureKeys({ root: key, key: () => key }, systemPlaces('ControlSet001'));
    expect(capture).toThrow(expect.objectContaining({ code: 'inspect.configuration-too-large' }));
    expect(visited).toBeLessThan(1_000_000);
  });
});

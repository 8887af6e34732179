import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ApplianceSession } from '../../../../src/appliance/session.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { resolveDevice } from '../../../../src/guest/device-names.js';
import { checkAllOpened, openContainers, readKeys } from '../../../../src/stages/inspect/unlock.js';
import { volumeAliases } from '../../../../src/stages/inspect/volume-names.js';
import { filesystem, treeOf } from '../../families/guests.js';

const container = filesystem('/dev/sda3', 'crypto_LUKS', 'aaaa-bbbb');
const inside = filesystem('/dev/mapper/luks-aaaa-bbbb', 'ext4', 'root-uuid');
const context = { filesystems: [container, inside], controllers: [null] };
const unlocked = { device: '/dev/sda3', name: 'luks-aaaa-bbbb', key_file: 'root.key' };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-luks-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('key files', () => {
  it('are found in the drop, beside the disks of a directory, and by absolute path', async () => {
    mkdirSync(join(directory, 'web01'));
    writeFileSync(join(directory, 'web01', 'root.key'), Buffer.from([0, 255, 10]));
    const source = { directory, entries: ['web01'] };
    const key = Buffer.from([0, 255, 10]);
    for (const key_file of ['root.key', join(directory, 'web01', 'root.key')])
      expect(await readKeys([{ device: '/dev/sda3', key_file }], source)).toEqual([
        { device: '/dev/sda3', keyFile: key_file, key },
      ]);
  });

  it('outside of the drop are not reached by a relative name', async () => {
    mkdirSync(join(directory, 'drop'));
    writeFileSync(join(directory, 'secret'), 'x');
    const source = { directory: join(directory, 'drop'), entries: [] };
    await expect(readKeys([{ device: '/dev/sda3', key_file: '../secret' }], source)).rejects.toMatchObject({
      code: 'inspect.luks-key-unreadable',
    });
  });
});

/** Records the appliance's shell scripts; the appliance itself is the matrix' part. */
function recorder(fails: boolean) {
  const scripts: string[] = [];
  const call = async (_name: string, _command: string, [script]: string[]) => {
    scripts.push(script ?? '');
    if (fails)
      throw new Hyper2kvmError(
        'guest.call-failed',
        `debug: ${script}\nNo key available with this passphrase.`,
      );
    return '';
  };
  return { scripts, session: { call } as unknown as ApplianceSession };
}

describe('openContainers', () => {
  const keys = [{ device: 'UUID=aaaa-bbbb', keyFile: 'root.key', key: Buffer.from('se\0cret\n') }];

  it('opens by any of the guest’s names, with the exact bytes first and without a last newline then', async () => {
    const { session, scripts } = recorder(false);
    expect(await openContainers(session, keys, context)).toEqual([unlocked]);
    expect(scripts).toHaveLength(1);
    const given = [...(scripts[0] ?? '').matchAll(/printf %s '([^']*)'/g)].map(([, text]) =>
      Buffer.from(text ?? '', 'base64').toString('latin1'),
    );
    expect(given).toEqual(['se\0cret\n', 'se\0cret']);
  });

  it.each([
    ['/dev/sda3', '/dev/$(basename /sys/class/scsi_device/*:0:0:0/device/block/sd*)3'],
    ['/dev/sdb1', '/dev/$(basename /sys/class/scsi_device/*:0:1:0/device/block/sd*)1'],
    ['/dev/sdaa12', '/dev/$(basename /sys/class/scsi_device/*:0:26:0/device/block/sd*)12'],
    ['/dev/vg0/data', "'/dev/vg0/data'"],
    ['/dev/md127', "'/dev/md127'"],
  ])('%s is found by its number, whatever the kernel calls it', async (device, word) => {
    const { session, scripts } = recorder(false);
    const filesystems = [filesystem(device, 'crypto_LUKS', 'aaaa-bbbb')];
    await openContainers(session, keys, { filesystems, controllers: [null] });
    expect(scripts[0]).toContain(`cryptsetup open --key-file - ${word} 'luks-aaaa-bbbb'`);
  });

  it('says that a key does not fit without showing it', async () => {
    const { session } = recorder(true);
    const error: unknown = await openContainers(session, keys, context).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'inspect.luks-key' });
    const cause = (error as Error).cause as Error;
    expect(`${(error as Error).message} ${cause.message}`).not.toContain(
      Buffer.from('se\0cret').toString('base64').slice(0, 6),
    );
  });

  it('refuses a key for what is no container', () => {
    const stray = [{ device: '/dev/sda1', keyFile: 'k', key: Buffer.alloc(1) }];
    expect(() => checkAllOpened(stray, context)).toThrowError(
      expect.objectContaining({
        code: 'inspect.luks-device',
        advice: expect.stringContaining('/dev/sda3 (UUID=aaaa-bbbb)'),
      }),
    );
    expect(() => checkAllOpened(keys, context)).not.toThrow();
  });
});

describe('volumeAliases', () => {
  it('lead from crypttab’s names to what the appliance opened', () => {
    const tree = treeOf({
      '/etc/crypttab': '# name\nsda3_crypt /dev/sda3 none luks\nother UUID=zzz none luks\n',
    });
    const aliases = volumeAliases(tree, context, { unlocked: [unlocked], arrays: [] });
    expect(aliases).toEqual({ '/dev/mapper/sda3_crypt': '/dev/mapper/luks-aaaa-bbbb' });
    expect(resolveDevice('/dev/mapper/sda3_crypt', { ...context, aliases })).toBe(inside);
    expect(resolveDevice('/dev/mapper/sda3_crypt', context)).toBeNull();
  });

  it('lead from the names of md arrays, in mdadm.conf or the superblock, to the appliance’s', () => {
    const array = (device: string, uuid: string, name: string) => ({ device, uuid, name, partitions: [] });
    const volumes = {
      unlocked: [],
      arrays: [array('/dev/md127', 'a:b:c:d', 'old-host:0'), array('/dev/md126', 'e:f:g:h', 'web01:boot')],
    };
    const names = (files: Record<string, string>) => volumeAliases(treeOf(files), context, volumes);
    expect(names({})).toEqual({
      ...{ '/dev/md0': '/dev/md127', '/dev/md/0': '/dev/md127' },
      '/dev/md/boot': '/dev/md126',
    });
    const conf = 'HOMEHOST <system>\nARRAY /dev/md5 metadata=1.2 UUID=e:f:g:h\n';
    expect(names({ '/etc/mdadm/mdadm.conf': conf })).toMatchObject({ '/dev/md5': '/dev/md126' });
    expect(names({ '/etc/mdadm.conf': 'ARRAY /dev/md5 UUID=x:x:x:x\n' })).not.toHaveProperty('/dev/md5');
  });
});

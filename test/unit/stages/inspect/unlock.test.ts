import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { readKeys } from '../../../../src/stages/inspect/luks-keys.js';
import { checkAllOpened, openContainers } from '../../../../src/stages/inspect/unlock.js';
import { memoryGuest, refused } from '../../access/memory-guest.js';
import { filesystem } from '../../families/guests.js';

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

/** Opens every container, or fails; keeps what it was given. */
function devicesThat(failure?: Error) {
  const opened: { device: string; name: string; keys: string[] }[] = [];
  const devices = memoryGuest({
    devices: {
      async openLuks(device, name, keys) {
        opened.push({ device, name, keys: keys.map((key) => key.toString('latin1')) });
        if (failure !== undefined) throw failure;
      },
    },
  }).reader.devices;
  return { opened, devices };
}

describe('openContainers', () => {
  const keys = [{ device: 'UUID=aaaa-bbbb', keyFile: 'root.key', key: Buffer.from('se\0cret\n') }];

  it('opens by any of the guest’s names, with the exact bytes first and without a last newline then', async () => {
    const { devices, opened } = devicesThat();
    expect(await openContainers(devices, keys, context)).toEqual([unlocked]);
    const given = ['se\0cret\n', 'se\0cret'];
    expect(opened).toEqual([{ device: '/dev/sda3', name: 'luks-aaaa-bbbb', keys: given }]);
  });

  it('says that a key does not fit, and not that of a lost appliance', async () => {
    const { devices } = devicesThat(refused('openLuks', 'EPERM'));
    await expect(openContainers(devices, keys, context)).rejects.toMatchObject({ code: 'inspect.luks-key' });
    const lost = devicesThat(new Hyper2kvmError('guest.died', 'lost', { retryable: true })).devices;
    await expect(openContainers(lost, keys, context)).rejects.toMatchObject({ code: 'guest.died' });
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

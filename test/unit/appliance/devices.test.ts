import { describe, expect, it } from 'vitest';
import { applianceDevices } from '../../../src/appliance/devices.js';
import { callError } from '../../../src/appliance/errors.js';
import { answeringSession } from './session.js';

const KEYS = [Buffer.from('se\0cret\n'), Buffer.from('se\0cret')];

/** The shell scripts that the appliance is given, which fail with `failure`. */
function shell(failure?: (script: string) => Error) {
  const scripts: string[] = [];
  const { session } = answeringSession({
    debug: (_command: string, [script = '']: string[]) => {
      scripts.push(script);
      if (failure !== undefined) throw failure(script);
      return '';
    },
  });
  return { scripts, devices: applianceDevices(session) };
}

describe('an NTFS volume with an unfinished journal', () => {
  it('is given to ntfsfix, which marks it for chkdsk', async () => {
    const given: string[] = [];
    const { session } = answeringSession({ ntfsfix: (device: string) => given.push(device) });
    await applianceDevices(session).dropNtfsJournal('/dev/sda2');
    expect(given).toEqual(['/dev/sda2']);
  });
});

describe('a LUKS container', () => {
  it('is opened with the bytes of each key in turn', async () => {
    const { devices, scripts } = shell();
    await devices.openLuks('/dev/sda3', 'luks-aaaa', KEYS);
    expect(scripts).toHaveLength(1);
    const given = [...(scripts[0] ?? '').matchAll(/printf %s '([^']*)'/g)].map(([, text]) =>
      Buffer.from(text ?? '', 'base64'),
    );
    expect(given).toEqual(KEYS);
  });

  it.each([
    ['/dev/sda3', '/dev/$(basename /sys/class/scsi_device/*:0:0:0/device/block/sd*)3'],
    ['/dev/sdb1', '/dev/$(basename /sys/class/scsi_device/*:0:1:0/device/block/sd*)1'],
    ['/dev/sdaa12', '/dev/$(basename /sys/class/scsi_device/*:0:26:0/device/block/sd*)12'],
    ['/dev/vg0/data', "'/dev/vg0/data'"],
    ['/dev/md127', "'/dev/md127'"],
  ])('on %s is found by its number, whatever the kernel calls it', async (device, word) => {
    const { devices, scripts } = shell();
    await devices.openLuks(device, 'luks-aaaa', KEYS);
    expect(scripts[0]).toContain(`cryptsetup open --key-file - ${word} 'luks-aaaa'`);
  });

  it.each([
    ['whole', (script: string) => callError('debug', `${script}\nNo key available with this passphrase.`, 0)],
    ['cut off', (script: string) => callError('debug', script.slice(0, 90), 28)],
  ])('that does not open says so without the key, though the script is quoted %s', async (_, failure) => {
    const { devices } = shell(failure);
    const error: unknown = await devices.openLuks('/dev/sda3', 'luks-aaaa', KEYS).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'guest.call-failed', message: 'cryptsetup refused the key' });
    expect((error as Error).cause).toBeUndefined();
  });

  it('says what cryptsetup said', async () => {
    const { devices } = shell(() => callError('debug', 'sh:\nDevice /dev/sda3 is in use.', 0));
    await expect(devices.openLuks('/dev/sda3', 'luks-aaaa', KEYS)).rejects.toMatchObject({
      message: 'Device /dev/sda3 is in use.',
    });
  });
});

it('labels are what they are, without blkid’s escapes', async () => {
  const tags = {
    LABEL: 'boot\\ disk',
    PART_ENTRY_NAME: '\\xc3\\xa4\\"\\\\x41',
    UUID: 'aaaa-bbbb',
  };
  const { session } = answeringSession({ blkid: () => tags });
  expect(await applianceDevices(session).probe('/dev/sda1')).toEqual({
    LABEL: 'boot disk',
    PART_ENTRY_NAME: 'ä"\\x41',
    UUID: 'aaaa-bbbb',
  });
});

it('a device on which blkid recognises nothing has no tags', async () => {
  const { session } = answeringSession({
    blkid: () => {
      throw callError('blkid', 'exit status 2', 0);
    },
  });
  expect(await applianceDevices(session).probe('/dev/sda1')).toEqual({});
});

it('logical volumes are told from the snapshots of them', async () => {
  const debug = () => '  vg|before|V|B|root\n  vg|root|V|R|\n  WARNING: something\n';
  const { session } = answeringSession({ debug });
  const group = { group: 'vg', groupUuid: 'V' };
  expect(await applianceDevices(session).volumeRecords()).toEqual([
    { device: '/dev/vg/before', ...group, uuid: 'B', origin: '/dev/vg/root' },
    { device: '/dev/vg/root', ...group, uuid: 'R', origin: null },
  ]);
});

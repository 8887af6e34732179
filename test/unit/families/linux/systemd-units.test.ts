import { describe, expect, it } from 'vitest';
import { systemdUnits } from '../../../../src/families/linux/systemd-units.js';
import { type Files, filesystem, guestOf, pathsOf, textAfter } from '../guests.js';

const UNITS = '/etc/systemd/system';
const DATA = 'dddddddd-2222';
const SWAP = 'eeeeeeee-3333';
const disks = [
  filesystem('/dev/sda1', 'ext4', 'aaaaaaaa-1111', { mountpoint: '/' }),
  filesystem('/dev/sdb1', 'ext4', DATA, { mountpoint: '/srv/data' }),
  filesystem('/dev/sdb2', 'swap', SWAP),
];
const dataPath = `/dev/disk/by-uuid/${DATA}`;
const dataUnit = 'dev-disk-by\\x2duuid-dddddddd\\x2d2222.device';
const swapUnit = 'dev-disk-by\\x2duuid-eeeeeeee\\x2d3333.swap';

function fix(files: Files, nofail: string[] = []) {
  const own = Object.fromEntries(Object.entries(files).map(([name, text]) => [`${UNITS}/${name}`, text]));
  const guest = guestOf({
    filesystems: disks,
    files: own,
    controllers: ['scsi0:0', 'scsi0:1'],
    options: { nofail },
  });
  const { operations, warnings } = systemdUnits.plan(guest);
  return { operations, warnings, textOf: (name: string) => textAfter(operations, `${UNITS}/${name}`) };
}

describe('systemd-units', () => {
  it('gives a mount its UUID, in drop-ins and options too', () => {
    const { textOf, warnings } = fix({
      'srv-data.mount':
        '[Unit]\nDescription=Data\n[Mount]\nWhat=/dev/sdb1\nWhere=/srv/data\nType=ext4\nOptions=noatime,journal_path=/dev/sdb2\n',
      'srv-data.mount.d/what.conf': '[Mount]\nWhat = /dev/sdb1\n',
    });
    expect(textOf('srv-data.mount')).toBe(
      `[Unit]\nDescription=Data\n[Mount]\nWhat=${dataPath}\nWhere=/srv/data\nType=ext4\nOptions=noatime,journal_path=/dev/disk/by-partuuid/deadbeef-02\n`,
    );
    expect(textOf('srv-data.mount.d/what.conf')).toBe(`[Mount]\nWhat = ${dataPath}\n`);
    expect(warnings).toEqual([]);
  });

  it('renames a swap unit with its links and drop-ins, as its name is its device', () => {
    const { operations, textOf } = fix({
      'dev-sdb2.swap': '[Swap]\nWhat=/dev/sdb2\n[Install]\nWantedBy=swap.target\n',
      'dev-sdb2.swap.d/priority.conf': '[Swap]\nPriority=5\n',
      'swap.target.wants/dev-sdb2.swap': '-> ../dev-sdb2.swap',
    });
    expect(textOf(swapUnit)).toBe(
      `[Swap]\nWhat=/dev/disk/by-uuid/${SWAP}\n[Install]\nWantedBy=swap.target\n`,
    );
    expect(textOf(`${swapUnit}.d/priority.conf`)).toBe('[Swap]\nPriority=5\n');
    expect(operations).toContainEqual(
      expect.objectContaining({
        op: 'symlink',
        path: `${UNITS}/swap.target.wants/${swapUnit}`,
        target: `../${swapUnit}`,
      }),
    );
    for (const old of ['dev-sdb2.swap', 'dev-sdb2.swap.d/priority.conf']) expect(textOf(old)).toBeNull();
    expect(operations).toContainEqual(
      expect.objectContaining({ op: 'remove', path: `${UNITS}/swap.target.wants/dev-sdb2.swap` }),
    );
  });

  it('follows dependencies on a device in every kind of unit, and links of one', () => {
    const { textOf, operations } = fix({
      'app.service':
        '# After=dev-sdb1.device\n[Unit]\nRequires=dev-sdb1.device\nAfter=network.target dev-sdb1.device \\\n  dev-sdb1.device\nConditionPathExists=!/dev/sdb1\n[Service]\nExecStart=/bin/true\n',
      'dev-sdb1.device.wants/app.service': '-> ../app.service',
    });
    expect(textOf('app.service')).toBe(
      `# After=dev-sdb1.device\n[Unit]\nRequires=${dataUnit}\nAfter=network.target ${dataUnit} \\\n  ${dataUnit}\nConditionPathExists=!${dataPath}\n[Service]\nExecStart=/bin/true\n`,
    );
    expect(pathsOf(operations)).toContain(`${UNITS}/${dataUnit}.wants/app.service`);
  });

  it('lets the boot go on without a data mount or swap area that is on no disk of the VM', () => {
    const { textOf, operations, warnings } = fix({
      'old.mount': '[Mount]\nWhat=/dev/sdq1\nWhere=/old\nType=ext4\n',
      'local-fs.target.requires/old.mount': '-> ../old.mount',
      'srv-data.mount': '[Mount]\nWhat=/dev/sdb1\nWhere=/srv/data\nOptions=noatime\n',
      'srv-data.mount.d/journal.conf': '[Mount]\nOptions=noatime,journal_path=/dev/sdq2\n',
      'set.mount': '[Mount]\nWhat=/dev/sdq3\nWhere=/set\nOptions=ro,nofail\n',
      'dev-sdq4.swap': '[Swap]\nWhat=/dev/sdq4\nOptions=\n',
    });
    expect(textOf('old.mount')).toBe('[Mount]\nWhat=/dev/sdq1\nOptions=nofail\nWhere=/old\nType=ext4\n');
    expect(textOf('srv-data.mount.d/journal.conf')).toBe(
      '[Mount]\nOptions=noatime,journal_path=/dev/sdq2,nofail\n',
    );
    expect(textOf('set.mount')).toBeUndefined();
    expect(textOf('dev-sdq4.swap')).toBe('[Swap]\nWhat=/dev/sdq4\nOptions=nofail\n');
    // What requires a mount fails with it: local-fs.target would take the system to emergency mode.
    expect(textOf('local-fs.target.requires/old.mount')).toBeNull();
    expect(operations).toContainEqual(
      expect.objectContaining({
        op: 'symlink',
        path: `${UNITS}/local-fs.target.wants/old.mount`,
        target: '../old.mount',
      }),
    );
    expect(warnings).toHaveLength(4);
    for (const { message } of warnings) expect(message).toContain('with nofail');
  });

  it.each([
    ['its mount point', '/data'],
    ['its unit', 'data.mount'],
    ['its device', '/dev/disk/by-uuid/3c1b7c0e-53a0-4b5a-9b87-0d2f0d8a9c01'],
    ['what a console left of its device', 'dev-disk-b…b87\\x2d0d2f0d8a9c01.device'],
  ])('lets the boot go on without the one that fix.nofail names by %s', (_, name) => {
    const { textOf, operations, warnings } = fix(
      {
        'data.mount':
          '[Mount]\nWhat=/dev/disk/by-uuid/3c1b7c0e-53a0-4b5a-9b87-0d2f0d8a9c01\nWhere=/data\nOptions=noatime\n',
        'local-fs.target.requires/data.mount': '-> ../data.mount',
        'srv-data.mount': `[Mount]\nWhat=${dataPath}\nWhere=/srv/data\n`,
      },
      [name],
    );
    expect(textOf('data.mount')).toContain('Options=noatime,nofail\n');
    expect(pathsOf(operations)).toContain(`${UNITS}/local-fs.target.wants/data.mount`);
    expect(textOf('srv-data.mount')).toBeUndefined();
    expect(warnings.map(({ code }) => code)).toEqual(['units.nofail']);
  });

  it('lets a swap area fail that fix.nofail names, and never what the system is on', () => {
    const files = {
      [swapUnit]: `[Swap]\nWhat=/dev/disk/by-uuid/${SWAP}\n`,
      'var.mount': '[Mount]\nWhat=UUID=aaaaaaaa-1111\nWhere=/var\n',
    };
    const { textOf } = fix(files, [`/dev/disk/by-uuid/${SWAP}`, '/var', 'var.mount']);
    expect(textOf(swapUnit)).toBe(`[Swap]\nWhat=/dev/disk/by-uuid/${SWAP}\nOptions=nofail\n`);
    expect(textOf('var.mount')).toBeUndefined();
  });

  it('warns of commands that name a device, and of devices on no disk, once each', () => {
    const { operations, warnings } = fix({
      'scrub.service': '[Service]\nExecStart=/sbin/blockdev --setra 4096 /dev/sdb1 /dev/sdb1\n',
      'old.mount': '[Mount]\nWhat=/dev/sdq1\nWhere=/old\nOptions=nofail\n',
      'x.service': '[Unit]\nAfter=dev-sdq1.device dev-sdq1.device\n',
    });
    expect(operations).toEqual([]);
    expect(warnings.map(({ code, message }) => [code, message.split(' ')[0]])).toEqual([
      ['units.unresolved', `${UNITS}/old.mount`],
      ['units.device-name', `${UNITS}/scrub.service`],
      ['units.unresolved', `${UNITS}/x.service`],
    ]);
  });

  it('fails for what the system does not start without', () => {
    expect(() => fix({ 'usr.mount': '[Mount]\nWhat=/dev/sdq1\nWhere=/usr\n' })).toThrowError(
      expect.objectContaining({ code: 'plan.fstab-unresolved', message: expect.stringContaining('/usr') }),
    );
  });

  it('leaves stable, network and virtual mounts, masks and other names byte for byte', () => {
    const { operations, warnings } = fix({
      'a.mount':
        '[Mount]\nWhat=/dev/disk/by-uuid/x\nWhere=/a\nOptions=noatime,x-systemd.requires=b.service\n',
      'nfs.mount': '[Mount]\nWhat=nas:/export\nWhere=/nfs\nType=nfs\n',
      'tmp.mount': '[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\n',
      'loop.mount': '[Mount]\nWhat=/srv/image\nWhere=/image\nOptions=loop\n',
      'dev-hugepages.mount': '-> /dev/null',
      'vg.service': '[Unit]\nAfter=dev-mapper-vg\\x2droot.device dev-vg-lv.device\n',
      'getty@ttyS0.service': '[Unit]\nBindsTo=dev-ttyS0.device\n',
    });
    expect({ operations, warnings }).toEqual({ operations: [], warnings: [] });
  });

  it('stays within its limits on hostile units', () => {
    const long = `[Unit]\nAfter=${'dev-'.repeat(100_000)}\n[Mount]\nOptions=${','.repeat(200_000)}`;
    expect(fix({ 'a.mount': long, 'b.service': `${'dev-sdb1.device '.repeat(1_000)}\n` }).operations).toEqual(
      [],
    );
  });
});

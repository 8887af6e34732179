import { describe, expect, it } from 'vitest';
import { fstab } from '../../../../src/families/linux/fstab.js';
import { filesystem, type GuestRecipe, guestOf, textAfter } from '../guests.js';

const PATH = '/etc/fstab';
const disks = [
  filesystem('/dev/sda1', 'ext4', 'boot-uuid', { mountpoint: '/boot' }),
  filesystem('/dev/sda2', 'ext4', 'root-uuid', { mountpoint: '/' }),
  filesystem('/dev/sda3', 'swap', 'swap-uuid'),
  filesystem('/dev/sdb1', 'xfs', 'data-uuid'),
];

function fix(text: string, recipe: GuestRecipe = {}) {
  const guest = guestOf({
    filesystems: disks,
    files: { [PATH]: text },
    controllers: ['scsi0:0', 'scsi0:1'],
    ...recipe,
  });
  const { operations, warnings } = fstab.plan(guest);
  return { text: textAfter(operations, PATH) ?? text, operations, warnings };
}

describe('fstab', () => {
  it('gives each kind of unstable name its UUID, swap too', () => {
    const { text } = fix(
      [
        '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2\t/\text4\terrors=remount-ro\t0\t1',
        '/dev/sda1\t/boot\text4\tdefaults\t0\t2',
        '/dev/sda3\tnone\tswap\tsw\t0\t0',
        '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part1\t/data\txfs\tdefaults\t0\t0',
        '',
      ].join('\n'),
    );
    expect(text).toBe(
      [
        'UUID=root-uuid\t/\text4\terrors=remount-ro\t0\t1',
        'UUID=boot-uuid\t/boot\text4\tdefaults\t0\t2',
        'UUID=swap-uuid\tnone\tswap\tsw\t0\t0',
        'UUID=data-uuid\t/data\txfs\tdefaults\t0\t0',
        '',
      ].join('\n'),
    );
  });

  it('leaves stable, network, bind, virtual and removable lines byte for byte, and then plans nothing', () => {
    const stable = [
      '# /dev/sda2 was on / during installation',
      'UUID=root-uuid / ext4 defaults 0 1',
      'LABEL=boot /boot ext4 defaults 0 2',
      'PARTUUID=deadbeef-03 none swap sw 0 0',
      '/dev/mapper/vg-home /home ext4 defaults 0 2',
      '/dev/vg/var /var ext4 defaults 0 2',
      '/dev/md0 /raid ext4 defaults 0 2',
      '/dev/disk/by-uuid/data-uuid /data xfs defaults 0 0',
      '/dev/disk/by-id/dm-name-vg-srv /srv xfs defaults 0 0',
      'nas:/export /mnt/nas nfs4 _netdev 0 0',
      '//nas/share /mnt/share cifs credentials=/root/c 0 0',
      '/srv /mnt/srv none bind 0 0',
      'tmpfs /tmp tmpfs size=1G 0 0',
      'proc /proc proc defaults 0 0',
      '/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0',
      '/dev/hdc /media/cdrom1 udf,iso9660 user,noauto 0 0',
      '/dev/fd0 /media/floppy0 auto rw,user,noauto 0 0',
      '\tbroken',
    ].join('\n');
    expect(fix(stable)).toMatchObject({ operations: [], warnings: [] });
  });

  it('keeps columns aligned where there is room, comments and blank lines', () => {
    const { text } = fix('# static\n\n/dev/sdb1                    /data   xfs  defaults 0 0 # keep\n');
    expect(text).toBe('# static\n\nUUID=data-uuid               /data   xfs  defaults 0 0 # keep\n');
  });

  it('keeps a file that is not UTF-8 byte for byte elsewhere', () => {
    const guest = guestOf({ filesystems: disks });
    const content = Buffer.from('# caf\xe9\n/dev/sda2 / ext4 defaults 0 1\n', 'latin1');
    const entry = {
      path: PATH,
      type: 'file',
      mode: 0o600,
      uid: 0,
      gid: 0,
      size: content.length,
      content,
    } as const;
    const tree = guest.tree.draft();
    tree.put(entry);
    const [operation] = fstab.plan({ ...guest, tree }).operations;
    expect(operation).toMatchObject({
      op: 'write_file',
      encoding: 'latin1',
      mode: 0o600,
      after: '# caf\xe9\nUUID=root-uuid / ext4 defaults 0 1\n',
    });
  });

  it.each(['/', '/boot', '/usr', '/var'])('fails for %s when its device cannot be told', (mountpoint) => {
    expect(() => fix(`/dev/sdq7 ${mountpoint} btrfs defaults 0 1\n`, { filesystems: [] })).toThrowError(
      expect.objectContaining({ code: 'plan.fstab-unresolved' }),
    );
  });

  it('gives other unresolved lines nofail and a warning, once', () => {
    const { text, warnings } = fix(
      '/dev/sdq1 /backup ext4 noatime 0 2\n/dev/sdq2 /old ext4\n/dev/sdq3 none swap sw,nofail 0 0\n',
    );
    expect(text).toBe(
      '/dev/sdq1 /backup ext4 noatime,nofail 0 2\n/dev/sdq2 /old ext4 defaults,nofail\n/dev/sdq3 none swap sw,nofail 0 0\n',
    );
    expect(warnings.map(({ code }) => code)).toEqual(Array(3).fill('fstab.unresolved'));
  });

  it.each([
    // btrfs shares its UUID among its devices.
    [
      '/dev/sdb1 /data btrfs device=/dev/sdb1,noatime',
      'UUID=data-uuid /data btrfs device=/dev/disk/by-partuuid/cafe-01,noatime',
    ],
    [
      'UUID=data-uuid /d xfs logdev=/dev/sda3',
      'UUID=data-uuid /d xfs logdev=/dev/disk/by-partuuid/deadbeef-03',
    ],
    ['UUID=x /d ext4 journal_path=/dev/sdb1', 'UUID=x /d ext4 journal_path=/dev/disk/by-partuuid/cafe-01'],
    [
      'UUID=x /d ext4 x-systemd.requires=/dev/sdb1,noatime 0 0',
      'UUID=x /d ext4 x-systemd.requires=/dev/disk/by-uuid/data-uuid,noatime 0 0',
    ],
    [
      'UUID=x /d ext4 x-systemd.after=dev-sdb1.device',
      'UUID=x /d ext4 x-systemd.after=dev-disk-by\\x2duuid-data\\x2duuid.device',
    ],
  ])('gives the devices in options stable names: %s', (before, after) => {
    const filesystems = disks.map((disk) =>
      disk.device === '/dev/sdb1' ? { ...disk, partuuid: 'cafe-01', type: before.split(' ')[2] ?? '' } : disk,
    );
    expect(fix(`${before}\n`, { filesystems })).toMatchObject({ text: `${after}\n`, warnings: [] });
  });

  it('leaves device= of a btrfs on whole disks out: nothing but their UUID names them', () => {
    const whole = ['b', 'c'].map((letter) =>
      filesystem(`/dev/sd${letter}`, 'btrfs', 'pool', { member: letter }),
    );
    const recipe = { filesystems: [...disks, ...whole], controllers: [null, null, null] };
    const line = (options: string) => `UUID=pool /pool btrfs ${options} 0 0\n`;
    expect(fix(line('device=/dev/sdb,noatime,device=/dev/sdc'), recipe).text).toBe(line('noatime'));
    expect(fix(line('device=/dev/sdb,device=/dev/sdc'), recipe).text).toBe(line('defaults'));
  });

  it('leaves options that name a disk by UUID, a volume, a loop device or a file', () => {
    const stable = [
      'UUID=x /a btrfs device=/dev/disk/by-uuid/x,subvol=@',
      'UUID=x /b xfs logdev=/dev/mapper/vg-log',
      '/srv/image /c ext4 loop=/dev/loop0',
      '/swapfile none swap defaults',
      'overlay /d overlay lowerdir=/a,upperdir=/dev/shm/b,workdir=/dev/shm/c',
    ].join('\n');
    expect(fix(stable)).toMatchObject({ operations: [], warnings: [] });
  });

  it('gives a line nofail whose option names a disk that is not there, and fails for the system', () => {
    const { text, warnings } = fix('UUID=x /d xfs logdev=/dev/sdq1 0 0\n');
    expect(text).toBe('UUID=x /d xfs logdev=/dev/sdq1,nofail 0 0\n');
    expect(warnings).toMatchObject([
      { code: 'fstab.unresolved', message: expect.stringContaining('logdev=') },
    ]);
    expect(() => fix('UUID=x /var xfs logdev=/dev/sdq1 0 0\n')).toThrowError(
      expect.objectContaining({ code: 'plan.fstab-unresolved' }),
    );
  });

  it('takes other spellings of a mount point for what they mean', () => {
    expect(() => fix('/dev/sdq7 /usr/ ext4 defaults 0 1\n')).toThrowError(
      expect.objectContaining({ code: 'plan.fstab-unresolved' }),
    );
    const { text } = fix('/dev/disk/by-id/scsi-3x-part9\t//\text4\tdefaults\t0\t1\n');
    expect(text).toBe('UUID=root-uuid\t//\text4\tdefaults\t0\t1\n');
  });

  it('does not trust a name that leads to another type of filesystem', () => {
    // The VM's disks came in another order: /dev/sdb1 is xfs, the line says ext4.
    const { text } = fix('/dev/sdb1 /home ext4 defaults 0 2\n');
    expect(text).toBe('/dev/sdb1 /home ext4 defaults,nofail 0 2\n');
  });

  it('finds a by-id name by what the guest mounts there', () => {
    const { text } = fix(
      '/dev/disk/by-id/scsi-36000c29a1b2c3d4e5f60718293a4b5c6-part2 / ext4 defaults 1 1\n',
    );
    expect(text).toBe('UUID=root-uuid / ext4 defaults 1 1\n');
  });

  describe('of which a whole disk is a copy', () => {
    const copied = {
      filesystems: [
        filesystem('/dev/sda1', 'ext4', 'same'),
        filesystem('/dev/sdb1', 'ext4', 'same'),
        filesystem('/dev/sdc1', 'ext4', 'root'),
      ],
    };
    const planOf = (line: string) => fstab.plan(guestOf({ files: { '/etc/fstab': line }, ...copied }));

    it('refuses by name what the system starts from', () => {
      expect(() => planOf('/dev/sda1 / ext4 defaults 0 1\n')).toThrowError(
        expect.objectContaining({
          code: 'plan.duplicate-uuid',
          message: expect.stringContaining('/dev/sda1 and /dev/sdb1'),
        }),
      );
    });

    it('warns of data that is mounted from one of them, and leaves the line', () => {
      const { operations, warnings } = planOf(
        'UUID=same /srv ext4 defaults 0 2\nUUID=same none swap sw 0 0\n',
      );
      expect(operations).toEqual([]);
      expect(warnings).toMatchObject([
        { code: 'fstab.duplicate-uuid', message: expect.stringContaining('/dev/sda1 and /dev/sdb1') },
      ]);
      expect(planOf('/dev/sdb1 /srv ext4 defaults 0 2\n').warnings).toMatchObject([
        { code: 'fstab.unresolved', message: expect.stringContaining('do not share') },
      ]);
    });
  });

  it('uses PARTUUID where two disks are clones of each other', () => {
    const clones = [
      filesystem('/dev/sda1', 'ext4', 'same', { mountpoint: '/' }),
      filesystem('/dev/sdb1', 'ext4', 'same', { partuuid: 'cafe-01' }),
    ];
    const { text } = fix('/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /copy ext4 defaults 0 2\n', {
      filesystems: clones,
    });
    expect(text).toBe('PARTUUID=deadbeef-01 / ext4 defaults 0 1\nPARTUUID=cafe-01 /copy ext4 defaults 0 2\n');
  });

  it('keeps UUID for a btrfs over two disks, which share it by design', () => {
    const pool = [filesystem('/dev/sda1', 'btrfs', 'pool'), filesystem('/dev/sdb1', 'btrfs', 'pool')];
    expect(fix('/dev/sda1 /pool btrfs subvol=@ 0 0\n', { filesystems: pool }).text).toBe(
      'UUID=pool /pool btrfs subvol=@ 0 0\n',
    );
  });
});

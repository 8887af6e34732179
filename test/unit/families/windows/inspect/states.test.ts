import { describe, expect, it } from 'vitest';
import { planGuest, planNothing } from '../../../../../src/families/plan.js';
import type { WindowsIdentity } from '../../../../../src/model/identity.js';
import { dropJournals, trimmable } from '../../../../../src/stages/fix/mount.js';
import { memoryGuest } from '../../../access/memory-guest.js';
import { logFile, masterFileTable } from '../../../guest/make-ntfs.js';
import { binary, dword, sealBaseBlock, sz } from '../../../guest/registry/make-hive.js';
import { dirtyPagesLog, entriesLog } from '../../../guest/registry/make-log.js';
import { guestOf } from '../../guests.js';
import { captured, inspectWindows } from '../inspect-windows.js';
import {
  DISK_GUID,
  hiveOf,
  PARTITION_GUID,
  rootFiles,
  systemKeys,
  type WindowsRecipe,
  windowsDisks,
} from '../make-windows.js';

const SERVER: WindowsRecipe = {
  ...{ build: 17763, product: 'Windows Server 2019 Standard', edition: 'ServerStandard' },
  ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
};
const BIOS: WindowsRecipe = { ...SERVER, firmware: 'bios' };
const SYSTEM = '/Windows/System32/config/SYSTEM';

/** What PLAN does with an inspected guest. */
const plan = (identity: WindowsIdentity) => planGuest({ ...guestOf({}), identity });
const refused = async (recipe: WindowsRecipe, more?: Parameters<typeof windowsDisks>[1]) => {
  const { identity } = await inspectWindows(windowsDisks(recipe, more));
  try {
    plan(identity);
  } catch (error) {
    return error;
  }
  throw new Error('it was planned');
};

describe('PLAN', () => {
  it.each([
    ['for ARM64', { machine: 'arm64' as const }],
    ['older than XP', { build: 2195 }],
  ])('refuses Windows %s, and says what was found', async (_, more) => {
    expect(await refused({ ...SERVER, ...more })).toMatchObject({
      code: 'plan.windows-unsupported',
      message: expect.stringMatching(/Windows Server 2019 Standard \(build \d+, \w+\) is on \/dev\/sda3/),
      advice: expect.stringMatching(/fix\.mode = "none".*kind = "data"/),
    });
  });

  it('changes nothing with fix.mode = "none", and gives devices that Windows has drivers for', async () => {
    const { identity } = await inspectWindows(windowsDisks(SERVER));
    const whole = planNothing({ ...guestOf({}), identity });
    expect(whole).toMatchObject({
      operations: [],
      devices: { disk_bus: 'sata', nic_model: 'e1000e' },
      warnings: [{ code: 'devices.windows-unchanged' }],
    });
  });
});

describe('the free space', () => {
  it.each([
    [99, 'plan.windows-no-space'],
    [100, null],
  ])('of %s MiB: %s', async (mib, code) => {
    const show = { '/dev/sda3,show_sys_files': {} };
    const disks = windowsDisks(SERVER, { filesystems: show });
    const { identity } = await inspectWindows({ ...disks, free: mib * 1024 ** 2 });
    expect(identity.volumes[0]).toMatchObject({ device: '/dev/sda3', free: mib * 1024 ** 2 });
    const planned = () => plan(identity);
    if (code === null) expect(planned).not.toThrow(/MiB free/);
    else
      expect(planned).toThrow(expect.objectContaining({ code, message: expect.stringContaining('99 MiB') }));
  });
});

describe('hibernation', () => {
  it.each(['hibr', 'HIBR', 'rstr', 'RSTR'])('is in a file that begins with %s', async (magic) => {
    const files = { '/hiberfil.sys': Buffer.from(`${magic}\0\0\0\0rest`) };
    expect(await refused({ ...SERVER, files })).toMatchObject({ code: 'plan.windows-hibernated' });
  });

  it.each(['wake', 'WAKE', '\0\0\0\0', '', 'hib'])('is not in one that begins with %j', async (magic) => {
    const power = { '@\\Control\\Session Manager\\Power': [dword('HiberbootEnabled', 1)] };
    const recipe = { ...SERVER, system: power, files: { '/HIBERFIL.SYS': Buffer.from(magic) } };
    const { identity } = await inspectWindows(windowsDisks(recipe));
    expect(identity).toMatchObject({ hibernated: false, fast_startup: true });
  });
});

describe('dynamic disks', () => {
  it.each([
    ['an MBR’s', BIOS, '/dev/sda4', '0x42'],
    ['GPT’s metadata', SERVER, '/dev/sda4', '5808C8AA-7E8F-42E0-85D2-E1E90434CFB3'],
    ['GPT’s data', SERVER, '/dev/sda4', 'af9b60a0-1431-4f62-bc68-3311714a69ad'],
  ])('are refused as the system disk: %s', async (_, recipe, device, type) => {
    const partitions = { [device]: { PART_ENTRY_TYPE: type } };
    expect(await refused(recipe, { partitions })).toMatchObject({ code: 'plan.windows-dynamic-disk' });
  });

  it('get a warning as data disks', async () => {
    const partitions = { '/dev/sdb1': { PART_ENTRY_TYPE: '0x42' } };
    const { identity, codes } = await inspectWindows(windowsDisks(SERVER, { partitions }));
    expect(identity.dynamic_disk).toBe(false);
    expect(codes).toEqual(['inspect.dynamic-data-disk']);
  });
});

describe('BitLocker', () => {
  it('on the system volume is refused', async () => {
    const partitions = { '/dev/sda3': { TYPE: 'BitLocker' } };
    await expect(inspectWindows(windowsDisks(SERVER, { partitions }))).rejects.toMatchObject({
      code: 'inspect.bitlocker',
      message: expect.stringContaining('/dev/sda3'),
    });
  });

  it('on a data volume gets a warning', async () => {
    const partitions = { '/dev/sdb1': { TYPE: 'BitLocker' } };
    const { identity, codes } = await inspectWindows(windowsDisks(SERVER, { partitions }));
    expect(identity.encrypted).toBe(true);
    expect(codes).toEqual(['inspect.encrypted-volume']);
  });
});

describe('several systems', () => {
  const two = () => ({
    partitions: { '/dev/sdb1': { TYPE: 'ntfs', UUID: 'B1', PART_ENTRY_UUID: 'b1' } },
    filesystems: { '/dev/sdb1': rootFiles({ ...SERVER, build: 20348 }) },
  });

  it('are refused, naming both', async () => {
    await expect(inspectWindows(windowsDisks(SERVER, two()))).rejects.toMatchObject({
      code: 'inspect.windows-root',
      message: expect.stringMatching(/\/dev\/sda3.*\/dev\/sdb1/),
      advice: expect.stringContaining('windows.root'),
    });
  });

  it.each([
    ['/dev/sda3', 17763],
    ['UUID=B1', 20348],
  ])('are no question where windows.root is %s', async (chosenRoot, build) => {
    const { identity } = await inspectWindows(windowsDisks(SERVER, two()), { chosenRoot });
    expect(identity.build).toBe(build);
  });

  it('are refused where windows.root is another filesystem', async () => {
    await expect(
      inspectWindows(windowsDisks(SERVER, two()), { chosenRoot: '/dev/sda1' }),
    ).rejects.toMatchObject({ code: 'inspect.windows-root' });
  });
});

describe('the boot configuration', () => {
  it('that starts another partition is refused, by GUID', async () => {
    const partitions = { '/dev/sda3': { PART_ENTRY_UUID: PARTITION_GUID.replace('8e', '8f') } };
    expect(await refused(SERVER, { partitions })).toMatchObject({
      code: 'plan.windows-boot-store',
      message: expect.stringContaining('/dev/sda1'),
    });
  });

  it.each([
    ['another disk', { PART_ENTRY_UUID: 'deadbeef-02' }],
    ['another place', { PART_ENTRY_OFFSET: '4096' }],
  ])('that starts %s of an MBR is refused', async (_, tags) => {
    expect(await refused(BIOS, { partitions: { '/dev/sda2': tags } })).toMatchObject({
      code: 'plan.windows-boot-store',
    });
  });

  it.each([
    ['another', { PTUUID: '0b2394a9-095e-487d-8d48-719ecd4d78cb' }, false],
    ['the same', { PTUUID: DISK_GUID.toUpperCase() }, true],
    ['no', {}, true],
  ])('whose disk has %s GUID matches: %s', async (_, tags, expected) => {
    const { devices, ...disks } = windowsDisks(SERVER);
    const probe = async (device: string) => (device === '/dev/sda' ? tags : devices!.probe!(device));
    const { identity } = await inspectWindows({ ...disks, devices: { ...devices, probe } });
    expect(identity.boot_store?.matches_root).toBe(expected);
  });

  it('names the partition it came from', async () => {
    const boot = binary('Element', '00000000000000000000000000000000 05000000 00000000 10000000 00000000');
    const loader = { '11000001': boot, '21000001': boot };
    const { identity } = await inspectWindows(windowsDisks({ ...BIOS, loader }));
    expect(identity.boot_store?.matches_root).toBe(true);
  });

  it('is found on the ESP of another disk', async () => {
    const disks = windowsDisks(SERVER, {
      partitions: {
        '/dev/sda1': { TYPE: '' },
        '/dev/sdb1': { TYPE: 'vfat', PART_ENTRY_TYPE: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' },
      },
    });
    disks.filesystems!['/dev/sdb1'] = disks.filesystems!['/dev/sda1']!;
    const { identity } = await inspectWindows(disks);
    expect(identity.boot_store?.device).toBe('/dev/sdb1');
  });

  it('tells the firmware where the VM’s description does not', async () => {
    const disks = windowsDisks(BIOS);
    expect((await inspectWindows(disks)).identity.firmware).toBe('bios');
    expect((await inspectWindows(disks, { firmware: 'uefi' })).identity).toMatchObject({
      ...{ firmware: 'uefi', boot_store: null, bootloader: 'unknown' },
    });
  });

  it('is passed over with a warning where it is damaged or missing', async () => {
    const disks = windowsDisks(SERVER);
    disks.filesystems!['/dev/sda1'] = { '/EFI/Microsoft/Boot/BCD': 'no hive' };
    const { identity, codes } = await inspectWindows(disks);
    expect(identity.boot_store).toBeNull();
    expect(codes).toEqual(['inspect.skipped', 'inspect.no-boot-store']);
  });

  it('warns of safe mode and of test signing', async () => {
    const safe = { '25000080': binary('Element', '0000000000000000'), '16000049': binary('Element', '01') };
    const { identity, codes } = await inspectWindows(windowsDisks({ ...SERVER, loader: safe }));
    expect(identity.boot_store).toMatchObject({ safe_boot: true, test_signing: true });
    expect(codes).toEqual(['inspect.safe-boot', 'inspect.test-signing']);
  });
});

describe('a live hive', () => {
  const before = systemKeys(SERVER);
  const changed = { ...before, 'ControlSet001\\Services\\Tcpip\\Parameters': [sz('Hostname', 'WIN-LATE')] };
  const [closed, after] = [hiveOf(before), hiveOf(changed)];
  const open = Buffer.from(closed);
  open.writeUInt32LE(2, 4);
  sealBaseBlock(open);
  const live = (logs: Record<string, Buffer>) =>
    windowsDisks({ ...SERVER, files: { [SYSTEM]: open, ...logs } });

  it.each([
    ['log entries', entriesLog([closed, after], { sequence: 1 })],
    ['dirty pages', dirtyPagesLog(closed, after, { sequence: 2 })],
  ])('is completed from its %s', async (_, log) => {
    const { identity, snapshot } = await inspectWindows(live({ [`${SYSTEM}.LOG1`]: log }));
    expect(identity.hostname).toBe('WIN-LATE');
    expect(snapshot.system.recovered?.pages).toBeGreaterThan(0);
    expect(snapshot.software.recovered).toBeNull();
  });

  it('without a log that completes it is refused', async () => {
    await expect(inspectWindows(live({}))).rejects.toMatchObject({
      code: 'guest.hive-dirty',
      message: expect.stringContaining(SYSTEM),
      advice: expect.stringContaining('shut it down'),
    });
  });

  it('that is damaged is named', async () => {
    const files = { '/Windows/System32/config/SOFTWARE': Buffer.alloc(8192, 1) };
    await expect(inspectWindows(windowsDisks({ ...SERVER, files }))).rejects.toMatchObject({
      code: 'guest.hive-corrupt',
      message: expect.stringContaining('SOFTWARE'),
    });
  });

  it('that is no file is refused', async () => {
    const files = { [SYSTEM]: '-> /dev/zero' };
    await expect(inspectWindows(windowsDisks({ ...SERVER, files }))).rejects.toMatchObject({
      code: 'inspect.hive-unreadable',
    });
  });
});

it('finds names of any case, and those of the same spelling first', async () => {
  const files = Object.fromEntries(
    Object.entries(rootFiles(SERVER)).map(([path, content]) => [
      path.replace('/Windows/System32', '/WINNT/system32').replace('config', 'CONFIG'),
      content,
    ]),
  );
  const disks = windowsDisks(SERVER, {
    filesystems: { '/dev/sda3': { ...files, '/winnt/readme.txt': 'x' } },
  });
  expect((await inspectWindows(disks)).identity.system_root).toBe('/WINNT');
});

it('goes by the environment where the kernel cannot be read', async () => {
  const files = { '/Windows/System32/ntoskrnl.exe': '-> unsupported reparse tag 0x80000017' };
  const recipe = { ...SERVER, machine: 'x86' as const };
  expect((await inspectWindows(windowsDisks({ ...recipe, files }))).identity.architecture).toBe('i386');
});

it('names an ARM64 guest', async () => {
  const { identity } = await inspectWindows(windowsDisks({ ...SERVER, machine: 'arm64' }));
  expect(identity.architecture).toBe('aarch64');
});

describe('warnings', () => {
  const codesOf = async (recipe: WindowsRecipe) => (await inspectWindows(windowsDisks(recipe))).codes;

  it('of a setup that runs, a device policy and antivirus programs', async () => {
    const codes = await codesOf({
      ...SERVER,
      system: { Setup: [dword('SystemSetupInProgress', 1)] },
      software: {
        'Policies\\Microsoft\\Windows\\DeviceInstall\\Restrictions': [dword('DenyUnspecified', 1)],
        'Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\X': [
          sz('DisplayName', 'Sophos Endpoint'),
        ],
      },
    });
    expect(codes).toEqual(['inspect.setup-running', 'inspect.device-policy', 'inspect.antivirus']);
  });

  it('of Windows 7 without SHA-2', async () => {
    const recipe = { ...BIOS, build: 7601, product: 'Windows 7 Professional', installation: 'Client' };
    expect(await codesOf(recipe)).toEqual(['inspect.no-sha2']);
  });
});

describe('a volume that was not unmounted', () => {
  const flagged = masterFileTable({ flags: 1 });
  const unflagged = masterFileTable({ flags: 0 });
  const finished = logFile([{ lsn: 1n, client: 0xffff, flags: 0 }]);
  const unfinished = logFile([{ lsn: 1n, client: 0, flags: 0 }]);

  /** What FIX does with the inspected guest's devices before it mounts, and what it may trim. */
  async function fixed(files: Parameters<typeof windowsDisks>[1], recipe = SERVER) {
    const { identity, codes } = await inspectWindows(windowsDisks(recipe, files));
    const dropped: string[] = [];
    const devices = {
      ...memoryGuest(windowsDisks(recipe)).reader.devices,
      dropNtfsJournal: async (device: string) => void dropped.push(device),
    };
    await dropJournals(devices, identity);
    return { dropped, trimmed: trimmable(identity).map(({ device }) => device), codes };
  }

  it.each([
    ['unfinished', unflagged, unfinished, ['/dev/sda3'], []],
    ['unfinished, and a mark', flagged, unfinished, ['/dev/sda3'], []],
    ['finished, and a mark', flagged, finished, [], []],
    ['finished', unflagged, finished, [], ['/dev/sda3']],
  ])(
    'is marked for chkdsk by FIX, and not trimmed: its journal is %s',
    async (_, table, log, dropped, trimmed) => {
      const own = { '/dev/sda3,show_sys_files': { '/$MFT': table, '/$LogFile': log } };
      expect(await fixed({ filesystems: own })).toMatchObject({ dropped, trimmed });
    },
  );

  it('is looked for on the partition of the boot configuration, too', async () => {
    const own = { '/dev/sda1,show_sys_files': { '/$MFT': unflagged, '/$LogFile': unfinished } };
    expect(await fixed({ filesystems: own }, { ...BIOS, files: { '/Windows/Boot/': null } })).toMatchObject({
      dropped: ['/dev/sda1'],
      trimmed: ['/dev/sda2'],
      codes: ['inspect.dirty-volume'],
    });
  });

  it.each([
    [
      'by its flag',
      masterFileTable({ flags: 1 }),
      logFile([{ lsn: 1n, client: 0xffff, flags: 0 }]),
      /chkdsk/,
    ],
    ['by its journal', masterFileTable({ flags: 0 }), logFile([{ lsn: 1n, client: 0, flags: 0 }]), /journal/],
  ])('gets a warning, %s', async (_, table, log, message) => {
    const own = { '/dev/sda3,show_sys_files': { '/$MFT': table, '/$LogFile': log } };
    const { warnings } = await inspectWindows(windowsDisks(SERVER, { filesystems: own }));
    expect(warnings).toMatchObject([
      { code: 'inspect.dirty-volume', message: expect.stringMatching(message) },
    ]);
  });

  it('is examined by an option of ntfs-3g, and mounted again without it', async () => {
    const { calls } = await inspectWindows(windowsDisks(SERVER));
    const mounts = calls.filter((call) => call.startsWith('mount / /dev/sda3'));
    expect(mounts.filter((call) => call.endsWith('show_sys_files'))).toHaveLength(1);
    expect(mounts.filter((call) => / ro$/.test(call))).not.toHaveLength(0);
  });
});

describe('the snapshot', () => {
  it('has what the planner reads: services with all below, filters, letters of drives', async () => {
    const { snapshot } = await inspectWindows(
      windowsDisks({
        ...SERVER,
        system: {
          MountedDevices: [binary('\\DosDevices\\C:', 'ae4645df 0000501f00000000')],
          '@\\Services\\stornvme': [dword('Start', 0)],
          '@\\Services\\stornvme\\StartOverride': [dword('0', 3)],
          '@\\Services\\VMMEMCTL': [dword('Start', 2)],
          '@\\Services\\pvscsi': [],
          '@\\Services\\vmbus': [dword('Start', 0)],
          '@\\Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}': [
            sz('Class', 'Mouse'),
            sz('UpperFilters', 'vmmouse'),
          ],
          '@\\Enum\\ACPI\\PNP0F03\\4&1': [sz('Service', 'i8042prt'), sz('UpperFilters', 'VMMouse')],
          '@\\Enum\\ACPI\\PNP0303\\4&2': [sz('Service', 'i8042prt')],
        },
      }),
    );
    const set = 'ControlSet001';
    expect(captured(snapshot, 'MountedDevices', '\\DosDevices\\C:')).toBe('ae4645df0000501f00000000');
    expect(captured(snapshot, `${set}\\Services\\stornvme\\StartOverride`, '0')).toBe('03000000');
    expect(captured(snapshot, `${set}\\Services\\vmmemctl`, 'Start')).toBe('02000000');
    const paths = snapshot.system.keys.map(({ path }) => path);
    expect(paths).toContain(`${set}\\Services\\pvscsi`);
    expect(paths).not.toContain(`${set}\\Services\\vmbus`);
    expect(paths).not.toContain(`${set}\\Enum\\ACPI\\PNP0303\\4&2`);
    const mouse = `${set}\\Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}`;
    expect(captured(snapshot, mouse, 'UpperFilters')).toBeDefined();
    expect(captured(snapshot, mouse, 'Class')).toBeUndefined();
    expect(captured(snapshot, `${set}\\Enum\\ACPI\\PNP0F03\\4&1`, 'upperfilters')).toBeDefined();
    expect(captured(snapshot, 'Microsoft\\Windows\\CurrentVersion', 'DevicePath')).toBeDefined();
    expect(snapshot.names).toEqual([
      '/Program Files/',
      '/Program Files/Common Files',
      '/Windows/System32/drivers/',
      '/Windows/System32/drivers/disk.sys',
    ]);
  });
});

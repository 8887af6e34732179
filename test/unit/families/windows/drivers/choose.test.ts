import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseDrivers } from '../../../../../src/families/windows/drivers/choose.js';
import { openVirtioWin } from '../../../../../src/families/windows/drivers/open.js';
import { readCatalogue } from '../../../../../src/families/windows/drivers/read-catalogue.js';
import { type DriverTarget, releaseFolders } from '../../../../../src/families/windows/drivers/releases.js';
import type { DriverSet } from '../../../../../src/model/driver-set.js';
import {
  catalogOf,
  driverPackage,
  LAYOUTS,
  makeSigners,
  type PackageFiles,
  program,
  type Signers,
  signedProgram,
  writePackage,
} from './virtio-win.ts';

const scratch = mkdtempSync(join(tmpdir(), 'h2k-drivers-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let signers: Signers;
beforeAll(() => {
  signers = makeSigners();
});

const WINDOWS_10: DriverTarget = {
  architecture: 'amd64',
  build: 19_045,
  product: 'workstation',
  testSigning: false,
  secureBoot: true,
  knowsSha256: true,
};
const WINDOWS_7: DriverTarget = { ...WINDOWS_10, build: 7601, secureBoot: false };

let count = 0;
/** A virtio-win with these packages, by folder. */
function virtioWin(folders: Record<string, PackageFiles>): string {
  count += 1;
  const root = join(scratch, String(count));
  mkdirSync(root);
  for (const [folder, files] of Object.entries(folders)) writePackage(root, folder, files);
  return root;
}

async function choose(
  folders: Record<string, PackageFiles> | string,
  target: DriverTarget,
): Promise<DriverSet> {
  const signal = AbortSignal.timeout(20_000);
  const root = typeof folders === 'string' ? folders : virtioWin(folders);
  const { files } = await openVirtioWin(root, join(scratch, 'cache'), signal);
  return chooseDrivers(await readCatalogue(files, { signal, windows: target, roots: signers.roots }), target);
}

const viostor = (
  ...rest: Parameters<typeof driverPackage> extends [unknown, ...infer R] ? Partial<R> : never
) => driverPackage('viostor', rest[0] ?? 'amd64', rest[1] ?? signers.publisher, rest[2]);
const folderOf = ({ packages }: DriverSet, name: string) =>
  packages.find((found) => found.name === name)?.folder ?? null;
const codesOf = ({ refusals }: DriverSet) => refusals.map(({ package: name, code }) => `${name} ${code}`);

describe('the folders of a Windows', () => {
  it.each<[DriverTarget['product'], number[], string]>([
    ['workstation', [2600], 'xp'],
    ['workstation', [3790], '2k3'],
    ['workstation', [6000, 6003], '2k8'],
    ['workstation', [7600, 7601], 'w7 2k8r2'],
    ['workstation', [9200], 'w8 w7'],
    ['workstation', [9600], 'w8.1 w8 w7'],
    ['workstation', [10_240, 19_045], 'w10'],
    ['workstation', [22_000, 26_200], 'w11 w10'],
    ['server', [3790], '2k3'],
    ['server', [6001, 6003], '2k8'],
    ['server', [7600, 7601], '2k8r2 w7'],
    ['server', [9200], '2k12 w8 2k8r2 w7'],
    ['domain-controller', [9600], '2k12r2 w8.1 2k12 w8 2k8r2 w7'],
    ['server', [14_393, 17_134], '2k16 w10'],
    ['server', [17_763, 19_042], '2k19 2k16 w10'],
    ['domain-controller', [20_348, 25_398], '2k22 2k19 2k16 w10'],
    ['server', [26_100, 29_000], '2k25 2k22 2k19 w11 w10'],
    ['workstation', [2195], ''],
    ['server', [2195], ''],
  ])('%s, builds %j: %s', (product, builds, folders) => {
    for (const build of builds)
      expect(releaseFolders({ architecture: 'amd64', build, product }).join(' ')).toBe(folders);
  });
});

describe('a virtio-win package', () => {
  it.each(Object.entries(LAYOUTS))('in the layout of the %s has the same drivers', async (_, place) => {
    const folders: Record<string, PackageFiles> = {};
    const add = (driver: Parameters<typeof driverPackage>[0], os: string, architecture: 'x86' | 'amd64') => {
      const folder = place(driver, os, architecture);
      folders[folder] = { ...folders[folder], ...driverPackage(driver, architecture, signers.publisher) };
    };
    for (const driver of ['viostor', 'vioscsi', 'NetKVM', 'Balloon', 'vioserial'] as const) {
      add(driver, 'w10', 'amd64');
      add(driver, 'w10', 'x86');
      add(driver, '2k19', 'amd64');
    }
    folders['guest-agent'] = {
      'qemu-ga-x86_64.msi': Buffer.from('64'),
      'qemu-ga-i386.msi': Buffer.from('32'),
    };
    const root = virtioWin(folders);
    const names = ['viostor', 'vioscsi', 'netkvm', 'balloon', 'vioserial'];
    for (const [target, os] of [
      [WINDOWS_10, 'w10'],
      [{ ...WINDOWS_10, architecture: 'x86' }, 'w10'],
      [{ ...WINDOWS_10, build: 17_763, product: 'server' }, '2k19'],
    ] as const) {
      const set = await choose(root, target);
      expect(set.warnings).toEqual([]);
      expect(set.refusals).toEqual([]);
      expect(set.packages.map(({ name }) => name)).toEqual(names);
      expect(folderOf(set, 'viostor')).toBe(place('viostor', os, target.architecture));
      expect(set.guestAgent).toMatchObject({
        size: 2,
        destinations: [
          `\\Windows\\Drivers\\VirtIO\\qemu-ga-${target.architecture === 'x86' ? 'i386' : 'x86_64'}.msi`,
        ],
      });
    }
  });

  it('says of a driver what its INF says', async () => {
    const set = await choose({ 'VIOSTOR/W10/AMD64': viostor() }, WINDOWS_10);
    const [found] = set.packages;
    expect(found).toMatchObject({
      name: 'viostor',
      inf: 'viostor.inf',
      isBoot: true,
      className: 'SCSIAdapter',
      classGuid: '{4D36E97B-E325-11CE-BFC1-08002BE10318}',
      provider: 'Red Hat, Inc.',
      driverVersion: { date: '2023-07-29', version: '100.94.104.24800' },
      signer: { name: 'Lab Hardware Compatibility Publisher' },
    });
    expect(found?.devices.map(({ ids }) => ids)).toEqual([
      ['PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00', 'PCI\\VEN_1AF4&DEV_1001'],
      ['PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01', 'PCI\\VEN_1AF4&DEV_1042'],
    ]);
    expect(found?.services).toEqual([
      {
        name: 'viostor',
        isFunctionDriver: true,
        displayName: null,
        type: 1,
        start: 0,
        errorControl: 1,
        imagePath: 'system32\\drivers\\viostor.sys',
        loadOrderGroup: 'SCSI miniport',
        dependencies: [],
        values: [
          { key: 'Parameters\\PnpInterface', name: '5', type: 4, data: '01000000' },
          { key: 'Parameters', name: 'BusType', type: 4, data: '01000000' },
          { key: 'Parameters', name: 'DmaRemappingCompatible', type: 4, data: '00000000' },
        ],
      },
    ]);
    expect(found?.files.map(({ destinations }) => destinations)).toEqual([
      ['\\Windows\\Drivers\\VirtIO\\viostor.inf'],
      ['\\Windows\\Drivers\\VirtIO\\viostor.sys', '\\Windows\\System32\\drivers\\viostor.sys'],
      ['\\Windows\\Drivers\\VirtIO\\viostor.cat'],
    ]);
    // Plain data: what a thread and a checkpoint can carry.
    expect(JSON.parse(JSON.stringify(set))).toEqual(set);
  });

  it('may keep its drivers in the driver store (Windows 11), but they start from system32', async () => {
    const files = viostor('amd64', signers.publisher, { directory: 13 });
    const set = await choose({ 'viostor/w11/amd64': files }, { ...WINDOWS_10, build: 22_631 });
    expect(set.packages[0]?.services[0]?.imagePath).toBe('system32\\drivers\\viostor.sys');
  });

  it('takes what belongs to a package, and nothing that does harm', async () => {
    const balloon = driverPackage('Balloon', 'amd64', signers.publisher);
    const network = driverPackage('NetKVM', 'amd64', signers.publisher);
    const set = await choose(
      {
        'Balloon/w10/amd64': {
          ...balloon,
          'blnsvr.exe': program('server', 'amd64'),
          'balloon.pdb': Buffer.alloc(9),
        },
        'NetKVM/w10/amd64': { ...network, 'vioprot.inf': Buffer.from('x'), 'vioprot.sys': Buffer.from('x') },
        'sriov/w10/amd64': { 'vioprot.inf': Buffer.from('x') },
        'viostor/w10/amd64': viostor(),
      },
      WINDOWS_10,
    );
    const names = set.packages.flatMap(({ files }) => files.map(({ destinations }) => destinations[0]));
    expect(names.map((name) => name?.replace('\\Windows\\Drivers\\VirtIO\\', '')).sort()).toEqual([
      'balloon.cat',
      'balloon.inf',
      'balloon.sys',
      'blnsvr.exe',
      'netkvm.cat',
      'netkvm.inf',
      'netkvm.sys',
      'netkvmco.dll',
      'viostor.cat',
      'viostor.inf',
      'viostor.sys',
      'wdfcoinstaller01009.dll',
    ]);
  });

  it('takes no program for another machine', async () => {
    const balloon = driverPackage('Balloon', 'amd64', signers.publisher);
    const folder = { 'Balloon/w10/amd64': { ...balloon, 'blnsvr.exe': program('server', 'x86') } };
    const files = (await choose(folder, WINDOWS_10)).packages.flatMap((found) => found.files);
    expect(files.some(({ destinations }) => destinations[0]?.endsWith('blnsvr.exe'))).toBe(false);
  });

  it('has no drivers for a newer release, another architecture, or from before Windows 10', async () => {
    const folders = {
      'viostor/w11/amd64': viostor(),
      'viostor/w8.1/amd64': viostor(),
      'viostor/w10/x86': viostor('x86'),
    };
    const set = await choose(folders, WINDOWS_10);
    expect(set.packages).toEqual([]);
    expect(set.warnings.map(({ code }) => code)).toEqual([
      'drivers.no-storage',
      'drivers.no-network',
      'drivers.no-guest-agent',
    ]);
  });

  it('with twins in other spellings counts once', async () => {
    const set = await choose({ 'viostor/w10/amd64': viostor(), 'VIOSTOR/W10/AMD64': viostor() }, WINDOWS_10);
    expect(set.packages.map(({ folder }) => folder)).toEqual(['VIOSTOR/W10/AMD64']);
  });
});

describe('a package is passed over for the next folder when', () => {
  const windows11 = { ...WINDOWS_10, build: 22_631 };
  /** What chose w10 instead of the broken one in w11. */
  const refused = async (files: PackageFiles, target: DriverTarget = windows11) => {
    const set = await choose({ 'viostor/w11/amd64': files, 'viostor/w10/amd64': viostor() }, target);
    expect(folderOf(set, 'viostor')).toBe('viostor/w10/amd64');
    return codesOf(set);
  };

  it('a file that its INF names is missing', async () => {
    const { 'viostor.sys': _, ...files } = viostor();
    expect(await refused(files)).toEqual(['viostor drivers.incomplete']);
  });
  it('its driver is for another machine, or is none', async () => {
    for (const driver of [signedProgram('viostor', 'x86', signers.publisher), Buffer.from('text')])
      expect(await refused({ ...viostor(), 'viostor.sys': driver })).toEqual([
        'viostor drivers.wrong-machine',
      ]);
  });
  it('its driver has no signature of its own, although the catalogue has one', async () => {
    const files: PackageFiles = { ...viostor(), 'viostor.sys': program('viostor', 'amd64') };
    delete files['viostor.cat'];
    const catalogue = catalogOf(files, signers.publisher);
    expect(await refused({ ...files, 'viostor.cat': catalogue })).toEqual(['viostor drivers.unsigned']);
  });
  it('its driver was changed after it was signed', async () => {
    const files = viostor();
    const driver = Buffer.from(files['viostor.sys'] as Buffer);
    driver[0x1ff] = 1;
    expect(await refused({ ...files, 'viostor.sys': driver })).toEqual(['viostor drivers.unsigned']);
  });
  it('it is signed by itself, or its catalogue is', async () => {
    const { selfIssued } = signers;
    expect(await refused(viostor('amd64', selfIssued))).toEqual(['viostor drivers.self-signed']);
    expect(await refused(viostor('amd64', signers.publisher, { catalogSigner: selfIssued }))).toEqual([
      'viostor drivers.self-signed',
    ]);
  });
  it('its signer does not lead to Microsoft, or only to where Secure Boot does not look', async () => {
    for (const signer of [signers.stranger, signers.maker])
      expect(await refused(viostor('amd64', signer))).toEqual(['viostor drivers.not-microsoft']);
  });
  it('its INF is damaged, or has nothing for this Windows', async () => {
    expect(await refused({ ...viostor(), 'viostor.inf': Buffer.from('text') })).toEqual([
      'viostor drivers.inf-invalid',
    ]);
    const later = viostor('amd64', signers.publisher, { decoration: '.10.0...26100' });
    expect(await refused(later)).toEqual(['viostor drivers.not-for-windows']);
  });
  it('its INF names a file as JavaScript names what every object has', async () => {
    const inf = Buffer.from(
      viostor()['viostor.inf']?.toString('latin1').replaceAll('viostor.sys', 'constructor') ?? '',
    );
    expect(await refused({ ...viostor(), 'viostor.inf': inf })).toEqual(['viostor drivers.incomplete']);
  });
  it('its INF has thousands of devices that copy thousands of files', async () => {
    const text = viostor()['viostor.inf']?.toString('latin1') ?? '';
    const devices = '%Desc% = scsi_inst, PCI\\VEN_1AF4&DEV_1001\n'.repeat(4_000);
    const files = Array.from({ length: 20_000 }, (_, index) => `file${index}.sys\n`).join('');
    const many = text
      .replace('[scsi_inst]', `[Models.NTamd64]\n${devices}[viostor_Files_Driver]\n${files}[scsi_inst]`)
      .replaceAll('\r', '');
    expect(await refused({ ...viostor(), 'viostor.inf': Buffer.from(many) })).toEqual([
      'viostor drivers.incomplete',
    ]);
  });
  it('it is for the network, and its catalogue is missing, signed by itself, or of other files', async () => {
    const good = driverPackage('NetKVM', 'amd64', signers.publisher);
    const { 'netkvm.cat': _, ...without } = good;
    const self = driverPackage('NetKVM', 'amd64', signers.publisher, { catalogSigner: signers.selfIssued });
    const other = { ...good, 'netkvmco.dll': program('another', 'amd64') };
    const damaged = { ...good, 'netkvm.cat': Buffer.from('text') };
    for (const [files, code] of [
      [without, 'drivers.unsigned'],
      [self, 'drivers.self-signed'],
      [other, 'drivers.catalogue-mismatch'],
      [damaged, 'drivers.unsigned'],
    ] as const) {
      const set = await choose({ 'NetKVM/w11/amd64': files, 'NetKVM/w10/amd64': good }, windows11);
      expect(folderOf(set, 'netkvm')).toBe('NetKVM/w10/amd64');
      expect(codesOf(set)).toEqual([`netkvm ${code}`]);
    }
  });
  it('it needs a name that another package has for another file', async () => {
    const files = { ...driverPackage('vioserial', 'amd64', signers.publisher) };
    files['WdfCoInstaller01009.dll'] = program('another version', 'amd64');
    const { 'vioser.cat': _, ...members } = files;
    const set = await choose(
      {
        'Balloon/w10/amd64': driverPackage('Balloon', 'amd64', signers.publisher),
        'vioserial/w10/amd64': { ...members, 'vioser.cat': catalogOf(members, signers.publisher) },
      },
      WINDOWS_10,
    );
    expect(set.packages.map(({ name }) => name)).toEqual(['balloon']);
    expect(codesOf(set)).toEqual(['vioserial drivers.name-conflict']);
    expect(set.warnings).toContainEqual(expect.objectContaining({ code: 'drivers.refused' }));
  });
});

describe('what a Windows accepts of signatures', () => {
  const folders = (files: PackageFiles, os: string, architecture = 'amd64') => ({
    [`viostor/${os}/${architecture}`]: files,
  });
  const warningsOf = ({ warnings }: DriverSet) =>
    warnings.map(({ code }) => code).filter((code) => !/no-(network|guest-agent)$/.test(code));

  it('Windows 7 and 8.1 load what is signed by its maker under a cross-certificate', async () => {
    for (const [target, os] of [
      [WINDOWS_7, 'w7'],
      [{ ...WINDOWS_7, build: 9600 }, 'w8.1'],
    ] as const) {
      const set = await choose(folders(viostor('amd64', signers.maker), os), target);
      expect(folderOf(set, 'viostor')).not.toBeNull();
      expect(warningsOf(set)).toEqual([]);
    }
  });
  it('Windows 10 does so only without Secure Boot, which a warning says', async () => {
    const set = await choose(folders(viostor('amd64', signers.maker), 'w10'), {
      ...WINDOWS_10,
      secureBoot: false,
    });
    expect(folderOf(set, 'viostor')).not.toBeNull();
    expect(warningsOf(set)).toEqual(['drivers.cross-signed']);
  });
  it('Windows 8 does not load what is signed by itself (virtio-win 0.1.240)', async () => {
    const target = { ...WINDOWS_7, build: 9200 };
    const set = await choose({ ...folders(viostor('amd64', signers.selfIssued), 'w8') }, target);
    expect(set.packages).toEqual([]);
    expect(warningsOf(set)).toEqual(['drivers.no-storage']);
    expect(set.warnings[0]?.message).toContain('Lab Itself');
  });
  it('in test mode any signature will do, but there must be one', async () => {
    const target = { ...WINDOWS_10, testSigning: true, secureBoot: false };
    const set = await choose(folders(viostor('amd64', signers.selfIssued), 'w10'), target);
    expect(folderOf(set, 'viostor')).not.toBeNull();
    const unsigned = { ...viostor(), 'viostor.sys': program('viostor', 'amd64') };
    expect(codesOf(await choose(folders(unsigned, 'w10'), target))).toEqual(['viostor drivers.unsigned']);
  });
  it('test mode counts for nothing under Secure Boot, for drivers and for catalogues', async () => {
    const target = { ...WINDOWS_10, testSigning: true, secureBoot: true };
    const set = await choose(folders(viostor('amd64', signers.selfIssued), 'w10'), target);
    expect(codesOf(set)).toEqual(['viostor drivers.self-signed']);
    const network = driverPackage('NetKVM', 'amd64', signers.publisher, { catalogSigner: signers.stranger });
    expect(codesOf(await choose({ 'NetKVM/w10/amd64': network }, target))).toEqual([
      'netkvm drivers.not-microsoft',
    ]);
  });
  it('x86 starts from a driver without a signature; its package is not installed then', async () => {
    const files: PackageFiles = { ...viostor('x86'), 'viostor.sys': program('viostor', 'x86') };
    delete files['viostor.cat'];
    const set = await choose(folders(files, 'w7', 'x86'), { ...WINDOWS_7, architecture: 'x86' });
    expect(folderOf(set, 'viostor')).not.toBeNull();
    expect(warningsOf(set)).toEqual(['drivers.no-catalogue']);
  });
  it('a disk driver of Microsoft starts Windows, although a stranger signed its catalogue', async () => {
    const files = viostor('amd64', signers.publisher, { catalogSigner: signers.stranger });
    const set = await choose(folders(files, 'w10'), WINDOWS_10);
    expect(folderOf(set, 'viostor')).not.toBeNull();
    expect(warningsOf(set)).toEqual(['drivers.no-catalogue']);
    const network = driverPackage('NetKVM', 'amd64', signers.publisher, { catalogSigner: signers.stranger });
    expect(codesOf(await choose({ 'NetKVM/w10/amd64': network }, WINDOWS_10))).toEqual([
      'netkvm drivers.not-microsoft',
    ]);
  });
  it('Windows 7 without KB3033929 does not know SHA-256, which a warning says', async () => {
    const old = { ...WINDOWS_7, knowsSha256: false };
    expect(warningsOf(await choose(folders(viostor(), 'w7'), old))).toEqual(['drivers.unknown-digest']);
    expect(warningsOf(await choose(folders(viostor(), 'w7'), WINDOWS_7))).toEqual([]);
    const sha1 = viostor('amd64', signers.publisher, { digest: 'sha1' });
    expect(warningsOf(await choose(folders(sha1, 'w7'), old))).toEqual([]);
  });
  it('Windows XP knows no catalogues of driver packages yet', async () => {
    const { 'netkvm.cat': _, ...files } = driverPackage('NetKVM', 'x86', signers.publisher);
    const set = await choose({ 'NetKVM/xp/x86': files }, { ...WINDOWS_7, build: 2600, architecture: 'x86' });
    expect(folderOf(set, 'netkvm')).toBe('NetKVM/xp/x86');
  });
});

describe('a directory', () => {
  const open = (path: string) => openVirtioWin(path, join(scratch, 'cache'), AbortSignal.timeout(20_000));
  it('is followed through links inside of it, and not out of it or in circles', async () => {
    const outside = virtioWin({ 'vioscsi/w10/amd64': driverPackage('vioscsi', 'amd64', signers.publisher) });
    const root = virtioWin({ 'viostor/w10/amd64': viostor() });
    symlinkSync('w10', join(root, 'viostor/2k16'));
    symlinkSync('../..', join(root, 'viostor/w10/up'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('nothing', join(root, 'dangling'));
    symlinkSync(join(outside, 'vioscsi'), join(root, 'vioscsi'));
    const { files } = await open(root);
    expect(files.map(({ path }) => path)).toEqual(
      ['2k16', 'w10'].flatMap((os) =>
        ['cat', 'inf', 'sys'].map((end) => `viostor/${os}/amd64/viostor.${end}`),
      ),
    );
    const set = await choose(root, { ...WINDOWS_10, build: 14_393, product: 'server' });
    expect(folderOf(set, 'viostor')).toBe('viostor/2k16/amd64');
  });
  it('with files that are no drivers by their size is refused, each or together', async () => {
    const invalid = { code: 'windows.virtio-win-invalid' };
    const root = virtioWin({ 'viostor/w10/amd64': viostor() });
    const large = join(root, 'viostor/w10/amd64/viostor.dll');
    const MIB = 1024 ** 2;
    writeFileSync(large, '');
    truncateSync(large, 128 * MIB);
    expect((await open(root)).files).toHaveLength(4);
    truncateSync(large, 128 * MIB + 1);
    await expect(open(root)).rejects.toMatchObject(invalid);
    truncateSync(large, 128 * MIB);
    for (let index = 1; index < 32; index += 1)
      symlinkSync('viostor.dll', join(root, `viostor/w10/amd64/${index}.dll`));
    await expect(open(root)).rejects.toMatchObject(invalid);
  });
  it('whose links multiply is refused', async () => {
    const root = virtioWin({ 'viostor/w10/amd64': viostor() });
    for (let level = 0; level < 5; level += 1) {
      mkdirSync(join(root, String(level)));
      for (let link = 0; link < 10; link += 1)
        symlinkSync(`../${level + 1}`, join(root, String(level), `l${link}`));
    }
    mkdirSync(join(root, '5'));
    await expect(open(root)).rejects.toMatchObject({
      code: 'windows.virtio-win-invalid',
      message: expect.stringContaining('more than 1000 links to directories'),
    });
  });
  it('with more files than any is refused', async () => {
    const root = virtioWin({ 'viostor/w10/amd64': viostor() });
    mkdirSync(join(root, 'many'));
    for (let file = 0; file < 100; file += 1) writeFileSync(join(root, 'many', `${file}`), '');
    for (let link = 0; link < 300; link += 1) symlinkSync('many', join(root, `l${link}`));
    await expect(open(root)).rejects.toMatchObject({
      code: 'windows.virtio-win-invalid',
      message: expect.stringContaining('more than 30000 files'),
    });
  });
  it('that is missing, no virtio-win, or no directory is refused by name', async () => {
    mkdirSync(join(scratch, 'empty'), { recursive: true });
    writeFileSync(join(scratch, 'text'), 'text');
    for (const [path, code] of [
      [join(scratch, 'missing'), 'windows.virtio-win-unreadable'],
      [join(scratch, 'empty'), 'windows.virtio-win-invalid'],
      [join(scratch, 'text'), 'windows.virtio-win-invalid'],
      ['/dev/null', 'windows.virtio-win-invalid'],
    ] as const)
      await expect(open(path)).rejects.toMatchObject({ code });
  });
});

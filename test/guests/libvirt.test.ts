import { chmod, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libvirtDomain } from '../../src/machine/libvirt-domain.js';
import { type LibvirtHost, readLibvirtFacts } from '../../src/machine/libvirt-host.js';
import { machineOf } from '../../src/machine/machine.js';
import type { Report } from '../../src/report/report.js';
import { closedDirectories, pathTo } from '../../src/tools/acl.js';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import { readJson, Spool } from '../integration/support/daemon.js';
import { formOf } from '../lab/forms.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { readConsole, startLibvirt, virsh } from './libvirt-daemons.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** Of this run alone: the machine may have domains of its own. */
const VM = `h2k-libvirt-${process.pid}`;
const JOB = `[vm]\nname = "${VM}"\nmemory = 1024\nvcpus = 1\n[fix]\nserial_console = true\n[validate]\nenabled = false\n`;

/** As a person does: the lines into a shell. */
async function paste(lines: readonly string[]): Promise<void> {
  await run('sh', ['-e', '-c', lines.join('\n')], { timeoutSeconds: 600 });
}

/** Only root may start libvirt, and see what its QEMU's user sees. */
describe.runIf(process.getuid?.() === 0)('Debian’s libvirt', () => {
  let directory: string;
  let stopLibvirt: () => Promise<void>;
  let libvirt: LibvirtHost;
  beforeAll(async () => {
    stopLibvirt = await startLibvirt();
    libvirt = await readLibvirtFacts();
    directory = await mkdtemp(join(tmpdir(), 'h2k-libvirt-'));
  });
  afterAll(async () => {
    await virsh('destroy', VM).catch(() => {});
    await virsh('undefine', VM).catch(() => {});
    await stopLibvirt();
    await rm(directory, { recursive: true, force: true });
  });

  test('starts what the daemon delivered by the lines of its report, to login: on the console', async () => {
    const spool = await Spool.create();
    try {
      // As the package has it: nobody but the group may enter.
      await chmod(spool.path('archive'), 0o2750);
      const guest = await buildGuest(RECIPES['bookworm-bios']);
      const disk = await formOf(guest.image, 'monolithicSparse', spool.directory);
      await spool.start();
      await writeFile(spool.path('incoming', 'web01.job.toml'), JOB);
      await spool.drop(disk, 'web01.vmdk');
      const job = await spool.waitForJob(({ state }) => state === 'converted', 300);
      const bundle = job.directory as string;
      const { start, stages } = await readJson<Report>(join(bundle, 'report.json'));
      expect(stages.reduce((sum, stage) => sum + stage.appliance_launches, 0)).toBe(1);
      expect(await readFile(join(bundle, 'report.html'), 'utf8')).toContain(`virsh start ${VM}</pre>`);

      // libvirt's user gets through to the disk, and to nothing else; the directory above the archive is not
      // the daemon's to open.
      const user = libvirt.user!;
      expect(await closedDirectories(user, pathTo(bundle))).toEqual([spool.directory]);
      expect(start?.libvirt[0]).toBe(`setfacl -m u:${user.name}:x ${spool.directory}`);
      await paste(start?.libvirt ?? []);
      const list = ['--reuid', user.name, '--regid', user.name, '--init-groups', 'ls', bundle];
      await expect(run('setpriv', list)).rejects.toThrow('Permission denied');
      const console = await readConsole(VM, /^\S+ login: /m, 600);
      expect(console).toContain(`Debian GNU/Linux 12 `);
      expect(await virsh('domstate', VM)).toBe('running');

      // What doctor says of the same place.
      const { out } = await cli(['doctor', '--json', '--config', spool.path('config.toml')]);
      const { checks } = JSON.parse(out) as { checks: { name: string; status: string; detail: string }[] };
      expect(checks.find(({ name }) => name === 'libvirt access')).toMatchObject({
        status: 'ok',
        detail: expect.stringContaining(basename(bundle)),
      });
      expect(checks.find(({ name }) => name === 'libvirt network')?.status).toBe('ok');
    } finally {
      await virsh('destroy', VM).catch(() => {});
      await virsh('undefine', VM).catch(() => {});
      await spool.destroy();
    }
  });

  test('opens the disk that `convert -o` wrote into a directory of its own making', async () => {
    await chmod(directory, 0o755);
    const disk = join(directory, 'data.raw');
    await writeFile(disk, 'data');
    await truncate(disk, 16 << 20);
    await writeFile(join(directory, 'data.job.toml'), 'kind = "data"\n');
    const output = join(directory, 'out', 'vms');
    await run('sh', [
      '-c',
      'umask 077; exec "$@"',
      'sh',
      process.execPath,
      CLI,
      'convert',
      disk,
      '-o',
      output,
    ]);
    expect(await readdir(output)).toEqual(['data']);
    const bundle = join(output, 'data');
    expect(await closedDirectories(libvirt.user!, pathTo(bundle))).toEqual([]);
    expect(await closedDirectories({ name: 'daemon', uid: 1, groups: [1] }, [bundle])).toEqual([bundle]);

    const machine = machineOf({
      name: VM,
      hardware: null,
      identity: null,
      plan: null,
      vm: { memory: 64, vcpus: 1 },
      disks: [{ file: join(bundle, 'data-disk0.qcow2'), format: 'qcow2' }],
    });
    const names = { job: VM, vm: VM, sourceName: null, osName: null, network: null };
    await writeFile(join(directory, 'domain.xml'), libvirtDomain(machine, { ...names, accelerator: 'tcg' }));
    await virsh('define', join(directory, 'domain.xml'));
    try {
      await virsh('start', VM);
      expect(await virsh('domstate', VM)).toBe('running');
    } finally {
      await virsh('destroy', VM).catch(() => {});
      await virsh('undefine', VM);
    }
  });

  test('starts the machine of a Windows 11, and leaves each device where it was put', async () => {
    const disk = join(directory, 'windows.raw');
    await writeFile(disk, '');
    await truncate(disk, 16 << 20);
    await chmod(disk, 0o666);
    const smbios_uuid = '7b0a4d56-d42a-3a1c-b5b5-7ae1d7a3f6c2';
    const machine = machineOf({
      name: 'win',
      hardware: { ...NO_HARDWARE, secure_boot: true, nics: [{ mac: null, network: null, model: null }] },
      identity: {
        ...{ os_type: 'windows', architecture: 'x86_64', firmware: 'uefi' },
        ...{ build: 22_631, installation_type: 'Client', smbios_uuid },
      },
      plan: { devices: { disk_bus: 'virtio', nic_model: 'vmxnet3' }, nics: [] },
      vm: { memory: 128, vcpus: 1 },
      disks: [{ file: disk, format: 'raw' }],
    });
    const names = { job: VM, vm: VM, sourceName: null, osName: null, network: null };
    const xml = libvirtDomain(machine, { ...names, accelerator: 'tcg' });
    const places = (text: string) =>
      [...text.matchAll(/<(disk|interface|rng)[ >].*?<address type='pci' (.*?)\/>/gs)].map(
        ([, element, place]) => `${element} ${place}`,
      );
    expect(places(xml)).toHaveLength(3);
    await writeFile(join(directory, 'windows.xml'), xml);
    await virsh('define', join(directory, 'windows.xml'));
    try {
      const defined = await virsh('dumpxml', VM);
      expect(places(defined).toSorted()).toEqual(places(xml).toSorted());
      expect(defined).toContain(`<uuid>${smbios_uuid}</uuid>`);
      await virsh('start', VM);
      expect(await virsh('domstate', VM)).toBe('running');
      const running = await virsh('dumpxml', VM);
      expect(running).toMatch(/<loader readonly='yes' secure='yes' type='pflash'>/);
      expect(running).toContain("<tpm model='tpm-crb'>");
    } finally {
      await virsh('destroy', VM).catch(() => {});
      await virsh('undefine', '--nvram', VM);
    }
  });
});

const NO_HARDWARE = {
  ...{ name: null, memory_mib: null, vcpus: null, firmware: null, nics: [], os_hint: null },
};

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DomainNames, domainUuid, libvirtDomain } from '../../../src/machine/libvirt-domain.js';
import type { Machine } from '../../../src/machine/machine.js';
import { run } from '../../../src/tools/run.js';
import { type MachineParts, machineWith, storeOn, VIRTIO } from './machines.js';

const NAMES: DomainNames = {
  job: 'k3x9',
  vm: 'web01',
  sourceName: 'Web <01> & "friends"',
  osName: 'Debian GNU/Linux 12 (bookworm)',
  accelerator: 'kvm',
  network: 'default',
};
const WEB01: Partial<MachineParts> = {
  memory: 4096,
  vcpus: 4,
  macs: ['00:50:56:9A:BC:DE'],
  disks: [
    { file: '/srv/archive/web01-k3x9/web01-disk0.qcow2', format: 'qcow2' },
    { file: '/srv/archive/web01-k3x9/web01-disk1.raw', format: 'raw' },
  ],
};
const TRANSITIONAL = { ...VIRTIO, virtio: 'transitional' } as const;
const domainOf = (parts: Partial<MachineParts> = {}, names: Partial<DomainNames> = {}) =>
  libvirtDomain(machineWith({ ...WEB01, ...parts }), { ...NAMES, ...names });

interface Case {
  parts?: Partial<MachineParts>;
  names?: Partial<DomainNames>;
}

/** Each has its file in golden/ (UPDATE_GOLDEN=1 rewrites them). */
const GOLDEN: Record<string, Case> = {
  'bios-virtio': {},
  'uefi-scsi': { parts: { firmware: 'uefi', devices: { disk_bus: 'scsi', nic_model: 'virtio' } } },
  'bios-sata': { parts: { devices: { disk_bus: 'sata', nic_model: 'e1000e' } } },
  'bios-ide': { parts: { devices: { disk_bus: 'ide', nic_model: 'e1000' } } },
  'bios-transitional': { parts: { devices: TRANSITIONAL } },
  'bios-transitional-scsi': { parts: { devices: { ...TRANSITIONAL, disk_bus: 'scsi' } } },
  'uefi-windows': { parts: { firmware: 'uefi', osType: 'windows' } },
  // Windows 11 as VMware had it: Secure Boot, TPM.
  'uefi-windows-11': {
    parts: {
      firmware: 'uefi',
      osType: 'windows',
      windows: {
        build: 22_631,
        installation_type: 'Client',
        smbios_uuid: '7b0a4d56-d42a-3a1c-b5b5-7ae1d7a3f6c2',
        clock: 'utc',
      },
      described: { secure_boot: true, tpm: true },
      devices: { disk_bus: 'virtio', nic_model: 'vmxnet3' },
    },
  },
  // The boot configuration is on the second disk.
  'bios-windows-scsi': {
    parts: {
      osType: 'windows',
      windows: { build: 9600, boot_store: storeOn(1) },
      devices: { disk_bus: 'scsi', nic_model: 'virtio', virtio: 'transitional' },
    },
  },
  'bios-windows-xp-emulated': {
    parts: {
      osType: 'windows',
      windows: { build: 2600 },
      devices: { disk_bus: 'virtio', nic_model: 'e1000' },
    },
    names: { accelerator: 'tcg' },
  },
  'bios-three-nics': { parts: { macs: ['00:50:56:00:00:01', '<script>', '01:00:5e:00:00:01'] } },
  'bios-virtio-emulated': { names: { accelerator: 'tcg' } },
  'bios-virtio-user-network': { names: { network: null } },
  'aarch64-virtio': { parts: { architecture: 'aarch64' } },
  'aarch64-sata-emulated': {
    parts: { architecture: 'aarch64', devices: { disk_bus: 'sata', nic_model: 'e1000e' }, vcpus: 12 },
    names: { accelerator: 'tcg' },
  },
};

describe('libvirt accepts the domain of', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'h2k-domain-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const cases: Record<string, Case> = {
    ...GOLDEN,
    'a VM whose old name is hostile': {
      names: { sourceName: '\u001b[31m</description>&\u0000\ud800', osName: '<!-- ' },
    },
    'sixty disks': { parts: { disks: disksOf(60) } },
    'sixty SCSI disks': { parts: { disks: disksOf(60), devices: { ...VIRTIO, disk_bus: 'scsi' } } },
  };
  test.each(Object.keys(cases))('%s', async (name) => {
    const file = join(directory, 'domain.xml');
    await writeFile(file, domainOf(cases[name]?.parts, cases[name]?.names));
    // Ends with code 3 and the schema's complaint when the domain does not fit.
    await run('virt-xml-validate', [file, 'domain']);
  });
});

function disksOf(count: number): Machine['disks'] {
  return Array.from({ length: count }, (_, n) => ({ file: `/a/web01-disk${n}.qcow2`, format: 'qcow2' }));
}

describe('libvirtDomain', () => {
  test.each(Object.keys(GOLDEN))('is the golden one: %s', async (name) => {
    const file = new URL(`golden/${name}.xml`, import.meta.url);
    const xml = domainOf(GOLDEN[name]?.parts, GOLDEN[name]?.names);
    if (process.env.UPDATE_GOLDEN === '1') await writeFile(file, xml);
    expect(xml).toBe(await readFile(file, 'utf8'));
  });

  test('keeps the hardware that the VM’s own description gives', () => {
    const xml = domainOf();
    expect(xml).toContain("<memory unit='MiB'>4096</memory>");
    expect(xml).toContain("<vcpu placement='static'>4</vcpu>");
    expect(xml).toContain("<mac address='00:50:56:9a:bc:de'/>");
    expect(xml).toContain("<source file='/srv/archive/web01-k3x9/web01-disk1.raw'/>");
    expect(xml).toContain("<target dev='vdb' bus='virtio'/>");
    expect(xml).not.toContain("firmware='efi'");
  });

  test('gives a driver from before virtio 1.0 no device that it cannot drive', () => {
    const xml = domainOf({ devices: TRANSITIONAL });
    expect(xml).toContain("<disk type='file' device='disk' model='virtio-transitional'>");
    expect(xml).toContain("<model type='virtio-transitional'/>");
    for (const element of ['rng', 'memballoon'])
      expect(xml).toContain(`<${element} model='virtio-transitional'`);
    expect(xml).toContain("<controller type='virtio-serial' index='0' model='virtio-transitional'/>");
    expect(xml).not.toMatch(/(model|type)='virtio'(?! name)/);
    expect(domainOf()).not.toContain('transitional');
  });

  test('is emulated where KVM does not run the guest, with all that QEMU emulates', () => {
    const xml = domainOf({}, { accelerator: 'tcg' });
    expect(xml).toContain("<domain type='qemu'>");
    expect(xml).toContain("<cpu mode='maximum' check='none'/>");
    // It may be taken to a host with KVM.
    expect(xml).toMatch(/^<!-- KVM does not run .* type='kvm' and .*-->\n<domain/);
  });

  test('names the network that is there, and needs none where there is none', () => {
    expect(domainOf({}, { network: 'br<0>' })).toContain("<source network='br&lt;0&gt;'/>");
    const alone = domainOf({}, { network: null });
    expect(alone).toContain("<interface type='user'>");
    expect(alone).not.toContain('<source network');
  });

  test('names every SCSI controller: libvirt would make the others of a model of its own', () => {
    const xml = domainOf({ disks: disksOf(15), devices: { ...VIRTIO, disk_bus: 'scsi' } });
    expect(xml.match(/<controller type='scsi'.*>/g)).toEqual([
      "<controller type='scsi' model='virtio-scsi'/>",
      "<controller type='scsi' index='1' model='virtio-scsi'/>",
      "<controller type='scsi' index='2' model='virtio-scsi'/>",
    ]);
  });

  test('the same job has the same UUID, another job another', () => {
    expect(domainUuid('k3x9')).toBe(domainUuid('k3x9'));
    expect(domainUuid('k3x9')).not.toBe(domainUuid('k3xa'));
    expect(domainUuid('k3x9')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });
});

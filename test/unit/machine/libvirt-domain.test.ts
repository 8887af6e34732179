import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DomainFacts, domainUuid, domainXml } from '../../../src/machine/libvirt-domain.js';
import { domainFacts } from '../../../src/report/domain-facts.js';
import { readOutputs } from '../../../src/report/report.js';
import { run } from '../../../src/tools/run.js';
import { sampleOptions, sampleOutputs } from '../report/sample.js';

const disks = [
  { path: '/srv/archive/web01-k3x9/web01-disk0.qcow2', format: 'qcow2' as const },
  { path: '/srv/archive/web01-k3x9/web01-disk1.raw', format: 'raw' as const },
];
const facts = (changes: Partial<DomainFacts> = {}): DomainFacts => ({
  ...domainFacts({ job: 'k3x9', vm: 'web01', options: sampleOptions() }, readOutputs(sampleOutputs()), disks),
  ...changes,
});

describe('libvirt accepts the domain of', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'h2k-domain-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const cases: Record<string, Partial<DomainFacts>> = {
    'a BIOS guest on virtio': {},
    'a UEFI guest on virtio-scsi': {
      firmware: 'uefi',
      devices: { disk_bus: 'scsi', nic_model: 'virtio' },
    },
    'an old guest on SATA and e1000': { devices: { disk_bus: 'sata', nic_model: 'e1000' } },
    'an older guest on IDE': { devices: { disk_bus: 'ide', nic_model: 'rtl8139' } },
    'a guest from before virtio 1.0': {
      devices: { disk_bus: 'virtio', nic_model: 'virtio', virtio: 'transitional' },
    },
    'the same on virtio-scsi': {
      devices: { disk_bus: 'scsi', nic_model: 'virtio', virtio: 'transitional' },
    },
    'a Windows guest': { osType: 'windows', firmware: 'uefi' },
    'a VM without network description': { nics: [] },
    'a VM with several interfaces and a broken MAC': {
      nics: [
        { mac: '00:50:56:00:00:01', network: 'A', model: null },
        { mac: '<script>', network: 'B', model: null },
        { mac: '01:00:5e:00:00:01', network: 'C', model: null },
      ],
    },
    'a VM whose old name is hostile': {
      sourceName: '\u001b[31m</description>&\u0000\ud800',
      osName: '<!-- ',
    },
    'sixty disks': {
      disks: Array.from({ length: 60 }, (_, n) => ({
        path: `/a/web01-disk${n}.qcow2`,
        format: 'qcow2' as const,
      })),
    },
  };
  test.each(Object.keys(cases))('%s', async (name) => {
    const file = join(directory, 'domain.xml');
    await writeFile(file, domainXml(facts(cases[name])));
    // Ends with code 3 and the schema's complaint when the domain does not fit.
    await run('virt-xml-validate', [file, 'domain']);
  });
});

describe('domainXml', () => {
  test('keeps the hardware that the VM’s own description gives', () => {
    const xml = domainXml(facts());
    expect(xml).toContain("<memory unit='MiB'>4096</memory>");
    expect(xml).toContain("<vcpu placement='static'>4</vcpu>");
    expect(xml).toContain("<mac address='00:50:56:9a:bc:de'/>");
    expect(xml).toContain("<source file='/srv/archive/web01-k3x9/web01-disk1.raw'/>");
    expect(xml).toContain("<target dev='vdb' bus='virtio'/>");
    expect(xml).not.toContain("firmware='efi'");
  });

  test('offers the devices that the boot test starts: every virtio device is transitional, or none', () => {
    const devices = { disk_bus: 'virtio', nic_model: 'virtio', virtio: 'transitional' } as const;
    const xml = domainXml(facts({ devices }));
    expect(xml).toContain("<disk type='file' device='disk' model='virtio-transitional'>");
    expect(xml).toContain("<model type='virtio-transitional'/>");
    for (const element of ['rng', 'memballoon'])
      expect(xml).toContain(`<${element} model='virtio-transitional'`);
    expect(xml).toContain("<controller type='virtio-serial' index='0' model='virtio-transitional'/>");
    expect(xml).not.toMatch(/(model|type)='virtio'(?! name)/);
    expect(domainXml(facts())).not.toContain('transitional');
  });

  test('job.toml goes before the description', () => {
    const options = sampleOptions({ vm: { memory: 512, vcpus: 1, firmware: 'uefi' } });
    const xml = domainXml(
      domainFacts({ job: 'j', vm: 'web01', options }, readOutputs(sampleOutputs()), disks),
    );
    expect(xml).toContain("<memory unit='MiB'>512</memory>");
    expect(xml).toContain("<vcpu placement='static'>1</vcpu>");
    expect(xml).toContain("<os firmware='efi'>");
  });

  test('refuses no MAC but leaves out what libvirt would refuse', () => {
    expect(
      domainXml(facts({ nics: [{ mac: '01:00:5e:00:00:01', network: null, model: null }] })),
    ).not.toContain('<mac ');
  });

  test('the same job has the same UUID, another job another', () => {
    expect(domainUuid('k3x9')).toBe(domainUuid('k3x9'));
    expect(domainUuid('k3x9')).not.toBe(domainUuid('k3xa'));
    expect(domainUuid('k3x9')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });
});

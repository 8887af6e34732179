import { expect, test } from 'vitest';
import { parseProxmox } from '../../../../src/disk/vma/configuration.js';

const parse = (text: string, ...disks: string[]) =>
  parseProxmox(Buffer.from(text), new Set(disks.map((name) => `drive-${name}.raw`)));

test('hardware, network cards and disks; what a snapshot had does not count', () => {
  const found = parse(
    [
      '#notes: 1',
      'bios: ovmf',
      'boot: order=virtio0;net0;scsi1',
      'cores: 2',
      'efidisk0: local-lvm:vm-100-disk-1,size=4M',
      'ide2: local:iso/debian.iso,media=cdrom',
      'memory: 4096',
      'name: web01',
      'net1: e1000=9E:19:C3:D0:E2:F8,bridge=vmbr1',
      'net0: virtio=9E:19:C3:D0:E2:F7,bridge=vmbr0,firewall=1',
      'net2: model=virtio,macaddr=02:00:00:00:00:01,bridge=vmbr2',
      'ostype: l26',
      'scsi0: local-lvm:vm-100-disk-0,size=10G',
      'scsi1: local-lvm:vm-100-disk-2,size=10G',
      'scsi2: local-lvm:vm-100-disk-4,backup=0,size=10G',
      'scsihw: virtio-scsi-pci',
      'sockets: 2',
      'unused0: local-lvm:vm-100-disk-9',
      'virtio0: local-lvm:vm-100-disk-3,size=10G',
      '#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:',
      '[before]',
      'memory: 512',
      'scsi9: local-lvm:vm-100-disk-9',
    ].join('\n'),
    'scsi0',
    'scsi1',
    'virtio0',
    'efidisk0',
  );
  expect(found.hardware).toEqual({
    name: 'web01',
    memory_mib: 4096,
    vcpus: 4,
    firmware: 'uefi',
    nics: [
      { mac: '9e:19:c3:d0:e2:f7', network: 'vmbr0', model: 'virtio' },
      { mac: '9e:19:c3:d0:e2:f8', network: 'vmbr1', model: 'e1000' },
      { mac: '02:00:00:00:00:01', network: 'vmbr2', model: 'virtio' },
    ],
    os_hint: 'l26',
  });
  expect(found.disks.map(({ controller, file }) => [controller, file])).toEqual([
    ['virtio0:0', 'drive-virtio0.raw'],
    ['scsi0:1', 'drive-scsi1.raw'],
    ['scsi0:0', 'drive-scsi0.raw'],
  ]);
  expect(found.warnings).toEqual([expect.stringContaining('scsi2')]);
});

test('the older bootdisk, and IDE’s two units', () => {
  const found = parse(
    'bootdisk: ide3\nide0: a:b,size=1G\nide3: a:c,size=1G\nmemory: current=512\n',
    'ide0',
    'ide3',
  );
  expect(found.disks.map(({ controller }) => controller)).toEqual(['ide1:1', 'ide0:0']);
  expect(found.hardware).toMatchObject({ firmware: 'bios', memory_mib: 512, vcpus: 1, nics: [] });
});

test('any text is read', () => {
  expect(parse('\0\u0001:::\nnet0:\nscsi0: none\nmemory: -1\ncores: 99999999999\n')).toMatchObject({
    disks: [],
    hardware: { memory_mib: null, vcpus: 1, nics: [{ mac: null }] },
  });
});

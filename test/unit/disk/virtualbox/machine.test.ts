import { expect, test } from 'vitest';
import { parseMachine } from '../../../../src/disk/virtualbox/machine.js';
import { vboxText } from '../vbox-text.js';

const parse = (text: string) => parseMachine(Buffer.from(text));

test('the VM as it is now, not as its snapshot has it', () => {
  const found = parse(vboxText())!;
  expect(found.hardware).toEqual({
    name: 'web & db',
    memory_mib: 2048,
    vcpus: 2,
    firmware: 'bios',
    nics: [
      { mac: '08:00:27:1a:2b:3c', network: 'eth0', model: 'virtio' },
      { mac: '08:00:27:1a:2b:3d', network: null, model: '82540EM' },
    ],
    os_hint: 'Debian_64',
  });
  expect(found.disks).toEqual([
    {
      controller: 'sata0:0',
      file: 'Snapshots/{22222222-0000-0000-0000-000000000000}.vdi',
      capacity: null,
      format: null,
    },
  ]);
});

test('UEFI, and a VM without snapshots', () => {
  const found = parse(vboxText({ snapshot: null, firmware: '<Firmware type="EFI"/>' }))!;
  expect(found.hardware.firmware).toBe('uefi');
  expect(found.disks.map(({ file }) => file)).toEqual(['web01.vdi']);
});

test('the controllers of older files are beside the hardware; IDE comes first', () => {
  const text = `<VirtualBox><Machine name="a"><MediaRegistry><HardDisks><HardDisk uuid="{1}" location="a.vdi"/><HardDisk uuid="{2}" location="b.vdi"/></HardDisks></MediaRegistry>
    <Hardware><Memory RAMSize="64"/></Hardware><StorageControllers>
    <StorageController type="LsiLogic"><AttachedDevice type="HardDisk" port="3" device="0"><Image uuid="{1}"/></AttachedDevice></StorageController>
    <StorageController type="PIIX4"><AttachedDevice type="HardDisk" port="1" device="1"><Image uuid="{2}"/></AttachedDevice></StorageController>
    </StorageControllers></Machine></VirtualBox>`;
  expect(parse(text)!.disks.map(({ controller, file }) => [controller, file])).toEqual([
    ['ide1:1', 'b.vdi'],
    ['scsi0:3', 'a.vdi'],
  ]);
});

test('a disk that the file does not locate makes all of them unknown', () => {
  expect(parse(vboxText().replace(/<HardDisks>.*<\/HardDisks>/, ''))!.disks).toEqual([]);
});

test('an encrypted disk is refused', () => {
  const property = '<Property name="CRYPT/KeyId" value="x"/>';
  expect(() => parse(vboxText({ property }))).toThrow(expect.objectContaining({ code: 'fetch.unsupported' }));
});

test('a file without a machine', () => {
  expect(parse('<xml/>')).toBe(null);
});

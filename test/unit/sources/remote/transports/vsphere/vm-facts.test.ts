import { describe, expect, it } from 'vitest';
import { parseVmx } from '../../../../../../src/disk/vmx.js';
import { renderVmx } from '../../../../../../src/sources/remote/transports/vsphere/render-vmx.js';
import { factsOf } from '../../../../../../src/sources/remote/transports/vsphere/vm-facts.js';
import { HARDWARE, vmContent } from './vm.js';

describe('factsOf', () => {
  it('reads what the API says of a VM', () => {
    expect(factsOf(vmContent())).toMatchObject({
      moref: 'vm-1',
      name: 'web01',
      power: 'poweredOff',
      connection: 'connected',
      firmware: 'efi',
      secureBoot: true,
      tpm: true,
      memoryMib: 8192,
      vcpus: 4,
      configFile: '[ds1] web01/web01.vmx',
      controllers: [
        { name: 'ide0', model: null },
        { name: 'scsi0', model: 'pvscsi' },
        { name: 'scsi1', model: 'lsisas1068' },
        { name: 'nvme0', model: null },
      ],
      disks: [
        {
          slot: 'scsi0:0',
          label: 'Hard disk 1',
          chain: ['[ds1] web01/web01-000002.vmdk', '[ds1] web01/web01-000001.vmdk', '[ds1] web01/web01.vmdk'],
          isEncrypted: false,
          sharing: null,
        },
        { slot: 'scsi1:3', chain: ['[ds2] web01/web01.vmdk'], sharing: null },
      ],
      nics: [
        { model: 'vmxnet3', mac: '00:50:56:AA:bb:01', network: 'VM "Net" |1', slot: 192 },
        { model: 'e1000e', mac: '00:50:56:aa:bb:02', network: 'dvportgroup-17', slot: null },
      ],
      bootOrder: ['scsi1:3'],
    });
  });

  it.each([
    ['<sharing>sharingMultiWriter</sharing>', { sharing: 'multi-writer', isEncrypted: false }],
    ['<keyId><keyId>1</keyId></keyId>', { sharing: null, isEncrypted: true }],
  ])('sees %s in the backing of a disk', (element, expected) => {
    const hardware = HARDWARE.replace('<sharing>sharingNone</sharing>', element);
    expect(factsOf(vmContent({ 'config.hardware': hardware })).disks[1]).toMatchObject(expected);
  });

  it('survives what makes no sense', () => {
    const chain = `${'<parent><fileName>x</fileName>'.repeat(40)}${'</parent>'.repeat(40)}`;
    const facts = factsOf(
      vmContent({
        'config.hardware': `<memoryMB>-1</memoryMB><numCPU>1e9</numCPU><device xsi:type="constructor"><key>1</key></device>
          <device xsi:type="VirtualDisk"><controllerKey>9</controllerKey><unitNumber>x</unitNumber></device>
          <device xsi:type="VirtualDisk"><backing>${chain}</backing></device>`,
        'config.bootOptions': '<bootOrder/>',
      }),
    );
    expect(facts).toMatchObject({ memoryMib: null, vcpus: null, nics: [], controllers: [] });
    expect(facts.disks.map(({ slot, chain: { length } }) => [slot, length])).toEqual([
      ['scsi0:0', 0],
      ['scsi0:0', 41],
    ]);
    expect(factsOf({ self: { type: 'VirtualMachine', id: 'vm-9' }, properties: new Map() })).toMatchObject({
      name: 'vm-9',
      power: 'unknown',
      disks: [],
    });
  });
});

describe('renderVmx', () => {
  const render = (changes: Record<string, string> = {}) => {
    const facts = factsOf(vmContent(changes));
    const text = renderVmx(facts, (slot) => (slot === 'scsi0:0' ? 'a"b.vmdk' : 'disks-2/web01.vmdk'));
    return parseVmx(Buffer.from(text));
  };

  it('writes a description that the parser of .vmx reads the same from', () => {
    const { hardware, disks } = render();
    expect(hardware).toMatchObject({
      name: 'web01',
      memory_mib: 8192,
      vcpus: 4,
      firmware: 'uefi',
      os_hint: 'ubuntu64Guest',
      secure_boot: true,
      tpm: true,
      uuid: '8e5f3342-1111-2242-8333-1234567890ab',
      nics: [
        { mac: '00:50:56:aa:bb:01', network: 'VM "Net" |1', model: 'vmxnet3', pci_slot: 192 },
        { mac: '00:50:56:aa:bb:02', network: 'dvportgroup-17', model: 'e1000e' },
      ],
    });
    // The boot order comes first.
    expect(disks.map(({ controller, file }) => [controller, file])).toEqual([
      ['scsi1:3', 'disks-2/web01.vmdk'],
      ['scsi0:0', 'a"b.vmdk'],
    ]);
  });

  it('lets no name add a line', () => {
    const name = 'x" \nscsi0:7.fileName = "/etc/shadow" | \u00e4';
    const { hardware, disks } = render({ name: name.replaceAll('"', '&quot;').replace('\n', '&#10;') });
    expect(hardware.name).toBe(name);
    expect(disks).toHaveLength(2);
  });
});

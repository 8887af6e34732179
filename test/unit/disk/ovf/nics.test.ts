import { describe, expect, it } from 'vitest';
import { parseOvf } from '../../../../src/disk/ovf/ovf.js';
import { parseVmx } from '../../../../src/disk/vmx.js';

const item = (type: number, body: string) =>
  `<Item><rasd:InstanceID>1</rasd:InstanceID>${body}<rasd:ResourceType>${type}</rasd:ResourceType></Item>`;
const card = (network: string, more = '', model = 'VmxNet3') =>
  item(
    10,
    `<rasd:Connection>${network}</rasd:Connection><rasd:ResourceSubType>${model}</rasd:ResourceSubType>${more}`,
  );
const SCSI = item(6, '<rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType>');
const nicsOf = (items: string, beside = '') =>
  parseOvf(
    Buffer.from(
      `<Envelope xmlns:rasd="r" xmlns:vmw="v" xmlns:vbox="b"><VirtualSystem id="web01"><VirtualHardwareSection>${items}</VirtualHardwareSection>${beside}</VirtualSystem></Envelope>`,
    ),
  ).hardware.nics;

describe('the network cards of an OVF', () => {
  it('are all there without MACs, connected or not, and have the slots that VMware would give', () => {
    const detached = '<rasd:AutomaticAllocation>false</rasd:AutomaticAllocation>';
    expect(nicsOf(SCSI + card('LAN') + card('Backup', detached))).toEqual([
      { mac: null, network: 'LAN', model: 'VmxNet3', likely_slot: 192 },
      { mac: null, network: 'Backup', model: 'VmxNet3', likely_slot: 224 },
    ]);
    expect(nicsOf(card('LAN') + card('Backup')).map(({ likely_slot }) => likely_slot)).toEqual([160, 192]);
    expect(nicsOf(card('LAN') + card('Backup', '', 'E1000'))[0]).not.toHaveProperty('likely_slot');
  });

  it('have the slots that vCenter writes', () => {
    const config = (slot: string) =>
      `<vmw:Config ovf:required="false" vmw:key="slotInfo.pciSlotNumber" vmw:value="${slot}"/>`;
    expect(nicsOf(card('LAN', config('1184')) + card('Backup', config('x')))).toEqual([
      { mac: null, network: 'LAN', model: 'VmxNet3', pci_slot: 1184 },
      { mac: null, network: 'Backup', model: 'VmxNet3' },
    ]);
  });

  it('have the MACs of VirtualBox’s own description, where that has as many', () => {
    const adapter = (slot: number, mac: string, enabled = true) =>
      `<Adapter slot="${slot}" enabled="${enabled}" MACAddress="${mac}" type="82540EM"/>`;
    const machine = (adapters: string) =>
      `<vbox:Machine><Hardware><Network>${adapters}</Network></Hardware></vbox:Machine>`;
    const cards = card('NAT', '', 'E1000') + card('LAN', '', 'E1000');
    const three = adapter(1, '080027AABB02') + adapter(0, '080027AABB01') + adapter(2, '080027AABB03', false);
    expect(nicsOf(cards, machine(three)).map(({ mac }) => mac)).toEqual([
      '08:00:27:aa:bb:01',
      '08:00:27:aa:bb:02',
    ]);
    expect(nicsOf(cards, machine(adapter(0, '080027AABB01'))).map(({ mac }) => mac)).toEqual([null, null]);
  });
});

describe('the network cards of a VMX', () => {
  const vmx = (scsi: string, more = '') =>
    parseVmx(
      Buffer.from(
        `scsi0.present = "TRUE"\nscsi0.virtualDev = "${scsi}"\n${[0, 1].map((n) => `ethernet${n}.present = "TRUE"\nethernet${n}.virtualDev = "vmxnet3"\nethernet${n}.startConnected = "FALSE"\n`).join('')}${more}`,
      ),
    ).hardware.nics.map(({ pci_slot, likely_slot }) => [pci_slot, likely_slot]);

  it('have the slots that VMware would give them where they have none yet', () => {
    expect(vmx('pvscsi')).toEqual([
      [undefined, 192],
      [undefined, 224],
    ]);
    expect(vmx('lsilogic')).toEqual([
      [undefined, 160],
      [undefined, 192],
    ]);
    expect(vmx('pvscsi', 'ethernet1.pciSlotNumber = "160"\n')).toEqual([
      [undefined, undefined],
      [160, undefined],
    ]);
  });
});

import { parseXml } from '../../../../../../src/disk/ovf/xml.js';
import type { ObjectContent } from '../../../../../../src/sources/remote/transports/vsphere/properties.js';

/** Hardware as vCenter 8 describes it, without what nothing reads. */
export const HARDWARE = `
<numCPU>4</numCPU><memoryMB>8192</memoryMB>
<device xsi:type="VirtualIDEController"><key>200</key><busNumber>0</busNumber></device>
<device xsi:type="ParaVirtualSCSIController"><key>1000</key><busNumber>0</busNumber><sharedBus>noSharing</sharedBus></device>
<device xsi:type="VirtualLsiLogicSASController"><key>1001</key><busNumber>1</busNumber></device>
<device xsi:type="VirtualNVMEController"><key>31000</key><busNumber>0</busNumber></device>
<device xsi:type="VirtualCdrom"><key>3000</key><controllerKey>200</controllerKey><unitNumber>0</unitNumber></device>
<device xsi:type="VirtualDisk"><key>2000</key><deviceInfo><label>Hard disk 1</label></deviceInfo>
<backing xsi:type="VirtualDiskSeSparseBackingInfo"><fileName>[ds1] web01/web01-000002.vmdk</fileName>
<parent><fileName>[ds1] web01/web01-000001.vmdk</fileName><parent><fileName>[ds1] web01/web01.vmdk</fileName></parent></parent></backing>
<controllerKey>1000</controllerKey><unitNumber>0</unitNumber></device>
<device xsi:type="VirtualDisk"><key>2016</key><deviceInfo><label>Hard disk 2</label></deviceInfo>
<backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds2] web01/web01.vmdk</fileName><sharing>sharingNone</sharing></backing>
<controllerKey>1001</controllerKey><unitNumber>3</unitNumber></device>
<device xsi:type="VirtualVmxnet3"><key>4000</key><backing xsi:type="VirtualEthernetCardNetworkBackingInfo"><deviceName>VM "Net" |1</deviceName></backing>
<slotInfo xsi:type="VirtualDevicePciBusSlotInfo"><pciSlotNumber>192</pciSlotNumber></slotInfo><macAddress>00:50:56:AA:bb:01</macAddress></device>
<device xsi:type="VirtualE1000e"><key>4001</key><backing><port><portgroupKey>dvportgroup-17</portgroupKey></port></backing><macAddress>00:50:56:aa:bb:02</macAddress></device>
<device xsi:type="VirtualTPM"><key>11000</key></device>`;

const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"';

/** What `retrieve` returns for a VM with these properties; texts are inner XML. */
export function vmContent(changes: Record<string, string> = {}): ObjectContent {
  const values: Record<string, string> = {
    name: 'web01',
    'runtime.powerState': 'poweredOff',
    'runtime.connectionState': 'connected',
    'config.changeVersion': '2026-01-01T00:00:00Z',
    'config.instanceUuid': '50335f8e-0000-4000-8000-1234567890ab',
    'config.uuid': '42335f8e-1111-4222-8333-1234567890ab',
    'config.guestId': 'ubuntu64Guest',
    'config.firmware': 'efi',
    'config.bootOptions':
      '<efiSecureBootEnabled>true</efiSecureBootEnabled><bootOrder xsi:type="VirtualMachineBootOptionsBootableDiskDevice"><deviceKey>2016</deviceKey></bootOrder>',
    'config.files.vmPathName': '[ds1] web01/web01.vmx',
    'config.hardware': HARDWARE,
    ...changes,
  };
  const properties = new Map(
    Object.entries(values).map(([path, inner]) => [
      path,
      parseXml(Buffer.from(`<val ${XSI}>${inner}</val>`)),
    ]),
  );
  return { self: { type: 'VirtualMachine', id: 'vm-1' }, properties };
}

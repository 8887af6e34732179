/** A machine file as VirtualBox 7 writes it, of a VM with a disk on SATA that has one snapshot. */
export function vboxText({
  base = 'web01.vdi',
  snapshot = 'Snapshots/{22222222-0000-0000-0000-000000000000}.vdi',
  property = '',
  firmware = '',
}: {
  base?: string;
  snapshot?: string | null;
  property?: string;
  firmware?: string;
} = {}): string {
  const id = (digit: number) => `{${String(digit).repeat(8)}-0000-0000-0000-000000000000}`;
  const attached = (uuid: string) =>
    `<StorageControllers>
      <StorageController name="SATA" type="AHCI" PortCount="2" useHostIOCache="false" Bootable="true">
        <AttachedDevice type="HardDisk" hotpluggable="false" port="0" device="0"><Image uuid="${uuid}"/></AttachedDevice>
        <AttachedDevice passthrough="false" type="DVD" hotpluggable="false" port="1" device="0"/>
      </StorageController>
    </StorageControllers>`;
  const delta =
    snapshot === null
      ? ''
      : `<HardDisk uuid="${id(2)}" location="${snapshot}" format="VDI">${property}</HardDisk>`;
  return `<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">
  <Machine uuid="${id(9)}" name="web &amp; db" OSType="Debian_64" currentSnapshot="${id(8)}" snapshotFolder="Snapshots">
    <MediaRegistry>
      <HardDisks><HardDisk uuid="${id(1)}" location="${base}" format="VDI" type="Normal">${delta}</HardDisk></HardDisks>
      <DVDImages/>
    </MediaRegistry>
    <Snapshot uuid="${id(8)}" name="before" timeStamp="2026-01-01T00:00:00Z">
      <Hardware><CPU count="1"/><Memory RAMSize="512"/>${attached(id(1))}</Hardware>
    </Snapshot>
    <Hardware>
      <CPU count="2"><PAE enabled="false"/></CPU>
      <Memory RAMSize="2048"/>
      <BIOS><IOAPIC enabled="true"/>${firmware}</BIOS>
      <Network>
        <Adapter slot="1" enabled="true" MACAddress="0800271A2B3D" type="82540EM"><NAT/></Adapter>
        <Adapter slot="0" enabled="true" MACAddress="0800271A2B3C" type="virtio">
          <DisabledModes><NAT/></DisabledModes><BridgedInterface name="eth0"/>
        </Adapter>
        <Adapter slot="2" enabled="false" MACAddress="0800271A2B3E"/>
      </Network>
      ${attached(id(snapshot === null ? 1 : 2))}
    </Hardware>
  </Machine>
</VirtualBox>
`;
}

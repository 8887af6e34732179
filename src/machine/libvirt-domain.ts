import { createHash } from 'node:crypto';
import type { Hardware } from '../model/hardware.js';
import type { Devices } from '../model/plan.js';
import { diskLetters } from '../text/disk-letters.js';
import { type Markup, markup } from '../text/markup.js';
import { cardAddress } from './nics.js';

/** What the domain is made from. `disks` in the VM's order, with absolute paths: libvirt takes no relative ones. */
export interface DomainFacts {
  job: string;
  vm: string;
  /** Name of the VM on its old hypervisor, where known. */
  sourceName: string | null;
  osName: string | null;
  osType: 'linux' | 'windows' | 'unknown';
  firmware: 'bios' | 'uefi';
  memoryMib: number;
  vcpus: number;
  devices: Devices;
  nics: Hardware['nics'];
  disks: readonly { path: string; format: 'qcow2' | 'raw' | 'vdi' | 'vmdk' }[];
}

type DiskBus = Devices['disk_bus'];

const TARGET_PREFIX: Record<DiskBus, string> = { virtio: 'vd', scsi: 'sd', sata: 'sd', ide: 'hd' };

/**
 * The libvirt domain that boots the converted VM on KVM (https://libvirt.org/formatdomain.html). It offers the devices that VALIDATE booted
 * with. The CPU is `host-model`: all features that libvirt can name, so kernels built for x86-64-v2 and later start, and the VM can still
 * migrate (host-passthrough could not). The same facts give the same bytes; the UUID comes from the job.
 */
export function domainXml(facts: DomainFacts): string {
  const virtio = facts.devices.disk_bus === 'virtio' || facts.devices.disk_bus === 'scsi';
  const model = virtioModel(facts);
  return markup`<domain type='kvm'>
  <name>${facts.vm}</name>
  <uuid>${domainUuid(facts.job)}</uuid>
  <description>${description(facts)}</description>
  <memory unit='MiB'>${facts.memoryMib}</memory>
  <vcpu placement='static'>${facts.vcpus}</vcpu>
${operatingSystem(facts)}
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-model' check='partial'/>
${clock(facts.osType)}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
${facts.disks.map((disk, index) => diskElement(disk, index, facts))}${controllers(facts)}${interfaces(facts)}    <serial type='pty'/>
    <console type='pty'/>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
    <video>
      <model type='vga'/>
    </video>
${virtio ? markup`    <rng model='${model}'>\n      <backend model='random'>/dev/urandom</backend>\n    </rng>\n` : null}    <memballoon model='${virtio ? model : 'none'}'/>
  </devices>
</domain>
`.text;
}

function description(facts: DomainFacts): string {
  const was =
    facts.sourceName === null || facts.sourceName === facts.vm ? '' : `, formerly ${facts.sourceName}`;
  return `${facts.osName ?? 'Virtual machine'}${was}; converted by hyper2kvm, job ${facts.job}`;
}

/**
 * `firmware='efi'` lets libvirt choose the host's OVMF and make the variable store. Secure Boot stays off: the guest's own keys and
 * enrolments stayed behind with the old hypervisor's NVRAM.
 */
function operatingSystem({ firmware, devices }: DomainFacts): Markup {
  // q35 has no IDE controller.
  const machine = devices.disk_bus === 'ide' ? 'pc' : 'q35';
  if (firmware === 'bios') {
    return markup`  <os>
    <type arch='x86_64' machine='${machine}'>hvm</type>
    <boot dev='hd'/>
  </os>`;
  }
  return markup`  <os firmware='efi'>
    <type arch='x86_64' machine='${machine}'>hvm</type>
    <firmware>
      <feature enabled='no' name='enrolled-keys'/>
      <feature enabled='no' name='secure-boot'/>
    </firmware>
    <boot dev='hd'/>
  </os>`;
}

/** Linux keeps the hardware clock in UTC; Windows in local time. The lost ticks of RTC and PIT are made up for, HPET is left out as libvirt's own tools do. */
function clock(osType: DomainFacts['osType']): Markup {
  return markup`  <clock offset='${osType === 'windows' ? 'localtime' : 'utc'}'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
  </clock>`;
}

/** libvirt puts transitional devices on a conventional PCI bus, which a q35 machine gets for them. */
function virtioModel({ devices }: DomainFacts): 'virtio' | 'virtio-transitional' {
  return devices.virtio === 'transitional' ? 'virtio-transitional' : 'virtio';
}

/** Those that libvirt would add by itself are named where their model is another than its own choice. */
function controllers(facts: DomainFacts): Markup[] {
  const isTransitional = facts.devices.virtio === 'transitional';
  const scsi = isTransitional ? 'virtio-transitional' : 'virtio-scsi';
  return [
    ...(facts.devices.disk_bus === 'scsi' ? [markup`    <controller type='scsi' model='${scsi}'/>\n`] : []),
    ...(isTransitional
      ? [markup`    <controller type='virtio-serial' index='0' model='virtio-transitional'/>\n`]
      : []),
  ];
}

function diskElement(disk: DomainFacts['disks'][number], index: number, facts: DomainFacts): Markup {
  const bus = facts.devices.disk_bus;
  const isTransitional = bus === 'virtio' && facts.devices.virtio === 'transitional';
  const model = isTransitional ? markup` model='virtio-transitional'` : null;
  return markup`    <disk type='file' device='disk'${model}>
      <driver name='qemu' type='${disk.format}' discard='unmap'/>
      <source file='${disk.path}'/>
      <target dev='${TARGET_PREFIX[bus]}${diskLetters(index)}' bus='${bus}'/>
    </disk>
`;
}

/** Where no MAC is known libvirt makes one. All go to libvirt's `default` network, whatever the old one was called. */
function interfaces(facts: DomainFacts): Markup[] {
  const { nic_model } = facts.devices;
  const model = nic_model === 'virtio' ? virtioModel(facts) : nic_model;
  return facts.nics.map(({ mac }) => {
    const address = cardAddress(mac) === null ? null : markup`      <mac address='${cardAddress(mac)}'/>\n`;
    return markup`    <interface type='network'>
${address}      <source network='default'/>
      <model type='${model}'/>
    </interface>
`;
  });
}

/** RFC 9562 version 8 (custom) from SHA-256 of the job's id: converting again is another VM, looking again is the same. */
export function domainUuid(job: string): string {
  const bytes = createHash('sha256').update(`hyper2kvm domain ${job}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

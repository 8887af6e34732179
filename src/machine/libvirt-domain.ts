import { createHash } from 'node:crypto';
import { diskLetters } from '../text/disk-letters.js';
import { type Markup, markup } from '../text/markup.js';
import { HYPERV_FEATURES, HYPERV_SPINLOCKS } from './hyperv.js';
import { type Machine, scsiControllers } from './machine.js';
import { type PciController, type PciLayout, type PciPlace, pciLayout } from './pci.js';
import { tpmModel } from './tpm.js';

/** What the domain contains beside the machine. */
export interface DomainNames {
  job: string;
  vm: string;
  /** Name of the VM on its old hypervisor, if known. */
  sourceName: string | null;
  osName: string | null;
  accelerator: 'kvm' | 'tcg';
  /** libvirt's network for all NICs; null: QEMU's user network, which needs none. */
  network: string | null;
}

const TARGET_PREFIX: Record<Machine['diskBus'], string> = { virtio: 'vd', scsi: 'sd', sata: 'sd', ide: 'hd' };

/**
 * Returns the libvirt domain of `machine` (https://libvirt.org/formatdomain.html). With KVM on a PC the CPU
 * is `host-model`: it has all features that libvirt can name, so kernels built for x86-64-v2 and later boot,
 * and the VM can still migrate (which host-passthrough prevents). The same machine and names give the same
 * bytes; the UUID is derived from the job. Pure.
 */
export function libvirtDomain(machine: Machine, names: DomainNames): string {
  const model = virtioModel(machine);
  const { hasRng } = machine;
  const places = machine.isPinned ? pciLayout(machine) : null;
  return markup`${emulation(machine, names)}<domain type='${names.accelerator === 'kvm' ? 'kvm' : 'qemu'}'>
  <name>${names.vm}</name>
  <uuid>${machine.uuid ?? domainUuid(names.job)}</uuid>
  <description>${description(names)}</description>
  <memory unit='MiB'>${machine.memoryMib}</memory>
  <vcpu placement='static'>${machine.vcpus}</vcpu>
${operatingSystem(machine)}
${features(machine, names)}
${cpu(machine, names)}
${clock(machine, names)}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
${machine.disks.map((disk, index) => diskElement(disk, index, machine, places))}${controllers(machine, places)}${interfaces(machine, names, places)}    <serial type='pty'/>
    <console type='pty'/>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
${machine.architecture.isPc ? null : markup`    <input type='keyboard' bus='usb'/>\n`}    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
    <video>
      <model type='${machine.architecture.video.libvirt}'/>
    </video>
${tpm(machine)}${hasRng ? markup`    <rng model='${model}'>\n      <backend model='random'>/dev/urandom</backend>\n${address(places?.rng)}    </rng>\n` : null}    <memballoon model='${hasRng ? model : 'none'}'/>
  </devices>
</domain>
`.text;
}

/** Explains emulation, because on another host the domain would be needlessly slow. */
function emulation({ hyperv }: Machine, { accelerator }: DomainNames): Markup | null {
  if (accelerator === 'kvm') return null;
  const more = hyperv
    ? markup` Windows then wants the features of hyperv, which emulation does not have.`
    : null;
  return markup`<!-- KVM does not run this VM on the host that converted it. On a host where it does, set type='kvm' and cpu mode='host-model' (on Arm host-passthrough).${more} -->\n`;
}

function description({ osName, sourceName, vm, job }: DomainNames): string {
  const was = sourceName === null || sourceName === vm ? '' : `, formerly ${sourceName}`;
  return `${osName ?? 'Virtual machine'}${was}; converted by hyper2kvm, job ${job}`;
}

/**
 * `firmware='efi'` lets libvirt choose the host's firmware and create the variable store. Secure Boot is
 * disabled for Linux: the guest's keys and enrolments stayed in the old hypervisor's NVRAM. Windows needs none
 * but Microsoft's.
 */
function operatingSystem({ architecture, type, firmware, secureBoot, bootDisk }: Machine): Markup {
  const machine = markup`    <type arch='${architecture.name}' machine='${type}'>hvm</type>`;
  // `hd` is the first disk; another one has its own `<boot>`.
  const first = bootDisk === 0 ? markup`    <boot dev='hd'/>\n` : null;
  if (firmware === 'bios') {
    return markup`  <os>
${machine}
${first}  </os>`;
  }
  const enabled = secureBoot ? 'yes' : 'no';
  const loader = secureBoot ? markup`    <loader secure='yes'/>\n` : null;
  return markup`  <os firmware='efi'>
${machine}
    <firmware>
      <feature enabled='${enabled}' name='enrolled-keys'/>
      <feature enabled='${enabled}' name='secure-boot'/>
    </firmware>
${loader}${first}  </os>`;
}

function features(machine: Machine, { accelerator }: DomainNames): Markup {
  const { architecture, vcpus, type, hyperv, secureBoot } = machine;
  const apic = architecture.isPc ? markup`    <apic/>\n` : null;
  // Version 2, libvirt's default for emulation, supports only 8 CPUs.
  const gic = type === 'virt' && vcpus > 8 ? markup`    <gic version='3'/>\n` : null;
  return markup`  <features>
    <acpi/>
${apic}${gic}${secureBoot ? markup`    <smm state='on'/>\n` : null}${hyperv && accelerator === 'kvm' ? hypervFeatures() : null}  </features>`;
}

function hypervFeatures(): Markup {
  return markup`    <hyperv>
${HYPERV_FEATURES.map((name) => markup`      <${name} state='on'/>\n`)}      <spinlocks state='on' retries='${HYPERV_SPINLOCKS}'/>
    </hyperv>
`;
}

function tpm(machine: Machine): Markup | null {
  if (!machine.tpm) return null;
  return markup`    <tpm model='${tpmModel(machine)}'>
      <backend type='emulator' version='2.0' persistent_state='yes'/>
    </tpm>
`;
}

function cpu({ architecture }: Machine, { accelerator }: DomainNames): Markup {
  if (accelerator === 'tcg') return markup`  <cpu mode='maximum' check='none'/>`;
  const check = architecture.libvirtCpu === 'host-model' ? 'partial' : 'none';
  return markup`  <cpu mode='${architecture.libvirtCpu}' check='${check}'/>`;
}

/** On a PC, lost ticks of RTC and PIT are caught up, and HPET is omitted, as by libvirt's own tools. */
function clock({ architecture, clock, hyperv }: Machine, { accelerator }: DomainNames): Markup {
  if (!architecture.isPc) return markup`  <clock offset='${clock}'/>`;
  return markup`  <clock offset='${clock}'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='delay'/>
    <timer name='hpet' present='no'/>
${hyperv && accelerator === 'kvm' ? markup`    <timer name='hypervclock' present='yes'/>\n` : null}  </clock>`;
}

/** libvirt puts transitional devices on a conventional PCI bus, which a q35 machine gets for them. */
function virtioModel({ virtio }: Machine): 'virtio' | 'virtio-transitional' {
  return virtio === 'transitional' ? 'virtio-transitional' : 'virtio';
}

/** Returns controllers that libvirt would not add by itself, or would add with another model. */
function controllers(machine: Machine, places: PciLayout | null): Markup[] {
  const isTransitional = machine.virtio === 'transitional';
  const scsi = isTransitional ? 'virtio-transitional' : 'virtio-scsi';
  return [
    ...(places === null ? [] : pciControllers(places)),
    ...Array.from({ length: scsiControllers(machine) }, (_, index) => {
      const number = index === 0 ? null : markup` index='${index}'`;
      const place = address(places?.scsi[index]);
      const start = markup`    <controller type='scsi'${number} model='${scsi}'`;
      return place === null ? markup`${start}/>\n` : markup`${start}>\n${place}    </controller>\n`;
    }),
    ...(isTransitional
      ? [markup`    <controller type='virtio-serial' index='0' model='virtio-transitional'/>\n`]
      : []),
    ...(machine.architecture.isPc ? [] : [markup`    <controller type='usb' model='qemu-xhci'/>\n`]),
  ];
}

function diskElement(
  disk: Machine['disks'][number],
  index: number,
  { diskBus, virtio, bootDisk }: Machine,
  places: PciLayout | null,
): Markup {
  const isTransitional = diskBus === 'virtio' && virtio === 'transitional';
  const model = isTransitional ? markup` model='virtio-transitional'` : null;
  const { sectorSize: size } = disk;
  const sectors =
    size === undefined
      ? null
      : markup`      <blockio logical_block_size='${size}' physical_block_size='${size}'/>\n`;
  return markup`    <disk type='file' device='disk'${model}>
      <driver name='qemu' type='${disk.format}' discard='unmap'/>
      <source file='${disk.file}'/>
${sectors}      <target dev='${TARGET_PREFIX[diskBus]}${diskLetters(index)}' bus='${diskBus}'/>
${bootDisk > 0 && index === bootDisk ? markup`      <boot order='1'/>\n` : null}${address(places?.disks[index])}    </disk>
`;
}

/**
 * If no MAC is known, libvirt generates one. All NICs are on one network, whatever the old ones were named.
 */
function interfaces(machine: Machine, { network }: DomainNames, places: PciLayout | null): Markup[] {
  const model = machine.nicModel === 'virtio' ? virtioModel(machine) : machine.nicModel;
  const source = network === null ? null : markup`      <source network='${network}'/>\n`;
  return machine.nics.map((mac, index) => {
    const own = mac === null ? null : markup`      <mac address='${mac}'/>\n`;
    return markup`    <interface type='${network === null ? 'user' : 'network'}'>
${own}${source}      <model type='${model}'/>
${address(places?.nics[index])}    </interface>
`;
  });
}

/** Returns the ports and bridges that devices with addresses are behind, which libvirt would number itself. */
function pciControllers({ nics, scsi, sata, disks, rng }: PciLayout): Markup[] {
  return [...nics, ...scsi, ...sata, ...disks, ...(rng === null ? [] : [rng])]
    .flatMap(({ added }) => added)
    .map((controller) => {
      const model = controller.model === 'bridge' ? 'pcie-to-pci-bridge' : 'pcie-root-port';
      return markup`    <controller type='pci' index='${controller.index}' model='${model}'>
${pciAddress(controller)}    </controller>
`;
    });
}

function address(place: PciPlace | null | undefined): Markup | null {
  return place == null || place.slot === null ? null : pciAddress({ on: place.on, slot: place.slot });
}

function pciAddress({
  on,
  slot,
  function: part = 0,
  model,
}: Pick<PciController, 'on' | 'slot'> & Partial<PciController>): Markup {
  const hex = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`;
  const several = model === 'root-port' && part === 0 ? markup` multifunction='on'` : null;
  return markup`      <address type='pci' domain='0x0000' bus='${hex(on?.index ?? 0, 2)}' slot='${hex(slot, 2)}' function='0x${part}'${several}/>\n`;
}

/**
 * Derives a UUID of RFC 9562 version 8 (custom) from the SHA-256 of the job's id: a new conversion is a new
 * VM, while the same job always has the same UUID.
 */
export function domainUuid(job: string): string {
  const bytes = createHash('sha256').update(`hyper2kvm domain ${job}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

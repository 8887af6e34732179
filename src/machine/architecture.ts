import { Hyper2kvmError } from '../errors/error.js';
import type { Devices } from '../model/plan.js';

type DiskBus = Devices['disk_bus'];
export type ArchitectureName = 'x86_64' | 'aarch64';
export type MachineType = 'q35' | 'pc' | 'virt';

/** Firmware and pristine variables of one build, which belong together. */
export interface UefiImages {
  code: string;
  variables: string;
}

/** What a VM of one architecture consists of. All names that depend on the architecture are in this table. */
export interface Architecture {
  /** libvirt's name. */
  name: ArchitectureName;
  /** Node's name, which tells whether this host has that architecture. */
  node: NodeJS.Architecture;
  qemu: { program: string; debian: string };
  /**
   * QEMU's machine type by the bus of the disks. A bus that is missing does not exist on this architecture.
   */
  machines: Partial<Record<DiskBus, MachineType>>;
  /** The first is used if the wanted one does not exist. */
  firmwares: readonly ('bios' | 'uefi')[];
  /** Builds without Secure Boot, and those with it and Microsoft's keys, in order of preference. */
  uefi: {
    images: readonly UefiImages[];
    secureImages: readonly UefiImages[];
    debian: string;
    fedora: string;
  };
  /** The CPU of an emulated guest; with KVM it is `max`, the host's own. */
  emulatedCpu: string;
  /** The CPU mode that libvirt uses for a guest on KVM. */
  libvirtCpu: 'host-model' | 'host-passthrough';
  /** The Linux name of the first serial port. */
  console: string;
  /** The display: QEMU's device and libvirt's model. */
  video: { qemu: string; libvirt: string };
  /**
   * Whether it has the PC's own devices: keyboard, VGA text memory, debug port, HPET, PIT and the CMOS clock.
   */
  isPc: boolean;
  /** The device that reports a guest's panic to QEMU. */
  panicDevice: string;
  /** Arguments of a machine whose CPU first of all writes to the channel `firmware`. */
  probe: readonly string[];
}

/** The debug port that SeaBIOS and OVMF write to. */
export const DEBUG_PORT = '0x402';

/**
 * AArch64: `movz x0, #0x900, lsl #16; movz w1, #'H'; strb w1, [x0]; b .` writes a letter to the first serial
 * port (PL011 at 0x9000000 of `virt`). Two words at a time, little-endian, after the device tree that QEMU
 * puts at the beginning of memory.
 */
const WRITE_A_LETTER = [
  'loader,addr=0x41000000,data=0x52800901d2a12000,data-len=8',
  'loader,addr=0x41000008,data=0x1400000039000001,data-len=8',
  'loader,addr=0x41000000,cpu-num=0',
];

export const ARCHITECTURES = {
  x86_64: {
    name: 'x86_64',
    node: 'x64',
    qemu: { program: 'qemu-system-x86_64', debian: 'qemu-system-x86' },
    // q35 has no IDE controller.
    machines: { virtio: 'q35', scsi: 'q35', sata: 'q35', ide: 'pc' },
    firmwares: ['bios', 'uefi'],
    uefi: {
      images: [
        { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
        { code: '/usr/share/OVMF/OVMF_CODE.fd', variables: '/usr/share/OVMF/OVMF_VARS.fd' },
        { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
        { code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd', variables: '/usr/share/edk2/x64/OVMF_VARS.4m.fd' },
        {
          code: '/usr/share/qemu/ovmf-x86_64-code.bin',
          variables: '/usr/share/qemu/ovmf-x86_64-vars.bin',
        },
      ],
      secureImages: [
        { code: '/usr/share/OVMF/OVMF_CODE_4M.ms.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd' },
        { code: '/usr/share/OVMF/OVMF_CODE.ms.fd', variables: '/usr/share/OVMF/OVMF_VARS.ms.fd' },
        {
          code: '/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd',
          variables: '/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd',
        },
        {
          code: '/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin',
          variables: '/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin',
        },
      ],
      debian: 'ovmf',
      fedora: 'edk2-ovmf',
    },
    // With `erms` a kernel clears pages byte by byte (`rep stosb`), which emulation is eight times slower at.
    emulatedCpu: 'max,erms=off',
    libvirtCpu: 'host-model',
    console: 'ttyS0',
    video: { qemu: 'VGA', libvirt: 'vga' },
    isPc: true,
    panicDevice: 'pvpanic',
    // SeaBIOS writes its version there.
    probe: ['-machine', 'q35', '-device', `isa-debugcon,iobase=${DEBUG_PORT},chardev=firmware`],
  },
  aarch64: {
    name: 'aarch64',
    node: 'arm64',
    qemu: { program: 'qemu-system-aarch64', debian: 'qemu-system-arm' },
    machines: { virtio: 'virt', scsi: 'virt', sata: 'virt' },
    firmwares: ['uefi'],
    uefi: {
      images: [
        { code: '/usr/share/AAVMF/AAVMF_CODE.fd', variables: '/usr/share/AAVMF/AAVMF_VARS.fd' },
        {
          code: '/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw',
          variables: '/usr/share/edk2/aarch64/vars-template-pflash.raw',
        },
        {
          code: '/usr/share/edk2/aarch64/QEMU_CODE.fd',
          variables: '/usr/share/edk2/aarch64/QEMU_VARS.fd',
        },
        {
          code: '/usr/share/qemu/aavmf-aarch64-code.bin',
          variables: '/usr/share/qemu/aavmf-aarch64-vars.bin',
        },
      ],
      secureImages: [],
      debian: 'qemu-efi-aarch64',
      fedora: 'edk2-aarch64',
    },
    // Kernels before 5.12 take LPA2 to mean "no 4 KiB pages" and stop; the architected pointer authentication
    // is slow to emulate.
    emulatedCpu: 'max,lpa2=off,pauth-impdef=on',
    // KVM on Arm has no host-model.
    libvirtCpu: 'host-passthrough',
    console: 'ttyAMA0',
    // On Arm, the memory attributes of a linear frame buffer conflict with the guest's, so VGA would show
    // garbage.
    video: { qemu: 'virtio-gpu-pci', libvirt: 'virtio' },
    isPc: false,
    panicDevice: 'pvpanic-pci',
    probe: [
      ...['-machine', 'virt', '-serial', 'chardev:firmware'],
      ...WRITE_A_LETTER.flatMap((device) => ['-device', device]),
    ],
  },
} as const satisfies Record<ArchitectureName, Architecture>;

/** The names of an architecture in a guest's own files; INSPECT reads it from the guest's programs. */
export interface GuestArchitecture {
  /** ELF `e_machine` (System V ABI). */
  elf: number;
  /**
   * Suffix in names of UEFI programs (UEFI specification, 3.5.1.1): `BOOTX64.EFI`, `grubx64.efi`; null: it
   * has no UEFI.
   */
  efi: string | null;
  /** In names of packages. */
  debian: readonly string[];
  rpm: readonly string[];
  /** Which of our machines runs it; null: none. */
  machine: ArchitectureName | null;
}

export const GUEST_ARCHITECTURES: Readonly<Record<string, GuestArchitecture>> = {
  x86_64: { elf: 62, efi: 'x64', debian: ['amd64'], rpm: ['x86_64'], machine: 'x86_64' },
  i386: { elf: 3, efi: 'ia32', debian: ['i386'], rpm: ['i386', 'i586', 'i686'], machine: 'x86_64' },
  aarch64: { elf: 183, efi: 'aa64', debian: ['arm64'], rpm: ['aarch64'], machine: 'aarch64' },
  arm: { elf: 40, efi: 'arm', debian: ['armhf', 'armel'], rpm: ['armv7hl'], machine: null },
  riscv64: { elf: 243, efi: 'riscv64', debian: ['riscv64'], rpm: ['riscv64'], machine: null },
  ppc64: { elf: 21, efi: null, debian: ['ppc64el'], rpm: ['ppc64le', 'ppc64'], machine: null },
  s390x: { elf: 22, efi: null, debian: ['s390x'], rpm: ['s390x'], machine: null },
};

/** Returns the guest's architecture by its programs' `e_machine`, or undefined. */
export function architectureOfElf(machine: number): string | undefined {
  return Object.entries(GUEST_ARCHITECTURES).find(([, { elf }]) => elf === machine)?.[0];
}

/** Returns the machine that runs a guest of `architecture`. Throws `plan.unsupported-architecture`. */
export function machineArchitecture(architecture: string): Architecture {
  const name = GUEST_ARCHITECTURES[architecture]?.machine ?? null;
  if (name !== null) return ARCHITECTURES[name];
  throw new Hyper2kvmError(
    'plan.unsupported-architecture',
    `The guest's programs are for ${architecture}; hyper2kvm supports ${Object.keys(ARCHITECTURES).join(' and ')}`,
  );
}

/**
 * Returns this host's own architecture, the only one that KVM runs here. Undefined on a host whose
 * architecture is not supported.
 */
export function hostArchitecture(node: NodeJS.Architecture = process.arch): Architecture | undefined {
  return Object.values(ARCHITECTURES).find((architecture) => architecture.node === node);
}

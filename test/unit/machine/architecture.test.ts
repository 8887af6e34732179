import { describe, expect, it } from 'vitest';
import {
  ARCHITECTURES,
  architectureOfElf,
  GUEST_ARCHITECTURES,
  hostArchitecture,
  machineArchitecture,
} from '../../../src/machine/architecture.js';

describe('the table of architectures', () => {
  it('is found by what is in an ELF header', () => {
    expect([3, 62, 183, 243, 9999].map(architectureOfElf)).toEqual([
      'i386',
      'x86_64',
      'aarch64',
      'riscv64',
      undefined,
    ]);
    const numbers = Object.values(GUEST_ARCHITECTURES).map(({ elf }) => elf);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it('has the names of AArch64 and of its machine', () => {
    expect(GUEST_ARCHITECTURES.aarch64).toEqual({
      elf: 183,
      efi: 'aa64',
      debian: ['arm64'],
      rpm: ['aarch64'],
      machine: 'aarch64',
    });
    const { qemu, machines, firmwares, uefi, console, isPc, libvirtCpu } = machineArchitecture('aarch64');
    expect({ qemu, machines, firmwares, console, isPc, libvirtCpu }).toEqual({
      qemu: { program: 'qemu-system-aarch64', debian: 'qemu-system-arm' },
      // `virt` has no IDE controller.
      machines: { virtio: 'virt', scsi: 'virt', sata: 'virt' },
      firmwares: ['uefi'],
      console: 'ttyAMA0',
      isPc: false,
      libvirtCpu: 'host-passthrough',
    });
    expect(uefi.debian).toBe('qemu-efi-aarch64');
  });

  it('refuses a guest that none of the machines runs, by its name', () => {
    for (const name of ['riscv64', 'ppc64', 's390x', 'arm', 'sparc'])
      expect(() => machineArchitecture(name)).toThrow(
        expect.objectContaining({ code: 'plan.unsupported-architecture' }),
      );
  });

  it('tells the host’s own', () => {
    expect(hostArchitecture('x64')).toBe(ARCHITECTURES.x86_64);
    expect(hostArchitecture('arm64')).toBe(ARCHITECTURES.aarch64);
    expect(hostArchitecture('riscv64')).toBeUndefined();
  });
});

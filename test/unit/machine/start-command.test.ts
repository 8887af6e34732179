import { describe, expect, it } from 'vitest';
import { ARCHITECTURES } from '../../../src/machine/architecture.js';
import { startCommand } from '../../../src/machine/start-command.js';
import { machineWith } from './machines.js';

const HOST = { accelerator: 'tcg', uefi: null } as const;

describe('startCommand', () => {
  it('is one line for a shell, with the devices of the plan and the VM’s memory', () => {
    const sata = { disk_bus: 'sata', nic_model: 'e1000e' } as const;
    const command = startCommand(machineWith({ devices: sata, memory: 4096, vcpus: 4 }), HOST);
    expect(command).toBe(
      'qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max,erms=off -m 4096 -smp 4 -rtc base=utc -boot strict=on -nodefaults ' +
        '-drive if=none,id=disk0,format=qcow2,discard=unmap,file=/srv/vm/vm-disk0.qcow2 -netdev user,id=net0 -device VGA ' +
        '-device pcie-root-port,id=port1,chassis=1,addr=0x2.0,multifunction=on ' +
        '-device e1000e,netdev=net0,mac=00:50:56:ab:cd:ef,romfile=,bus=port1 -device ide-hd,bus=ide.0,drive=disk0,bootindex=0 ' +
        '-device qemu-xhci -device usb-tablet -vnc 127.0.0.1:0,to=99 -serial mon:stdio',
    );
  });

  it('uses the KVM and the firmware that are there', () => {
    const uefi = { code: '/f/CODE.fd', variables: '/f/VARS.fd' };
    const command = startCommand(machineWith({ firmware: 'uefi' }), { accelerator: 'kvm', uefi });
    expect(command).toContain(' -accel kvm -cpu max ');
    expect(command).toContain('-drive if=pflash,format=raw,unit=0,readonly=on,file=/f/CODE.fd ');
    // The host's own variables are not written to.
    expect(command).toContain('-drive if=pflash,format=raw,unit=1,snapshot=on,file=/f/VARS.fd ');
  });

  it('keeps a file name whole, for QEMU and for the shell', () => {
    const disks = [{ file: '/my vms/it’s, "a" VM.raw', format: 'raw' as const }];
    expect(startCommand(machineWith({ disks }), HOST)).toContain(
      `'if=none,id=disk0,format=raw,discard=unmap,file=/my vms/it’s,, "a" VM.raw'`,
    );
  });

  it('starts the TPM’s emulator before, where there is one, with its state beside the disks', () => {
    const machine = machineWith({
      osType: 'windows',
      windows: { build: 22_631, installation_type: 'Client' },
    });
    const command = startCommand(machine, { ...HOST, hasTpmEmulator: true });
    expect(command.split(' && ')).toEqual([
      'mkdir -p /srv/vm/tpm',
      'swtpm socket --tpm2 --tpmstate dir=/srv/vm/tpm --ctrl type=unixio,path=/srv/vm/tpm/socket --daemon --terminate',
      expect.stringMatching(
        /^qemu-system-x86_64 .* -chardev socket,id=tpm,path=\/srv\/vm\/tpm\/socket .*tpm-crb,tpmdev=tpm0 -device usb-ehci /,
      ),
    ]);
    expect(startCommand(machine, HOST)).not.toContain('tpm');
    // A socket cannot have such a path.
    const disks = [{ file: `/srv/${'x'.repeat(100)}/vm-disk0.qcow2`, format: 'qcow2' as const }];
    expect(startCommand({ ...machine, disks }, { ...HOST, hasTpmEmulator: true })).not.toContain('tpm');
  });

  it('gives a machine without the PC’s own devices a keyboard', () => {
    const [uefi] = ARCHITECTURES.aarch64.uefi.images;
    const command = startCommand(machineWith({ architecture: 'aarch64' }), { accelerator: 'tcg', uefi });
    expect(command).toMatch(/^qemu-system-aarch64 -machine virt .* -device usb-kbd /);
  });
});

import { Hyper2kvmError } from '../../errors/error.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { CopyFile } from '../../operations/copy-file.js';
import type { Fixer, Guest } from '../base/fixer.js';

const NAME = 'windows-uefi-fallback';

export const uefiFallback: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'The boot entries of a UEFI guest stay behind in the old hypervisor’s NVRAM, and the firmware of a new VM starts \\EFI\\Boot\\bootx64.efi (bootia32.efi). Where that file is missing or is another program, Windows’ boot manager \\EFI\\Microsoft\\Boot\\bootmgfw.efi is copied there. No other file of the EFI system partition is touched.',
  plan: (guest) => ({ operations: planFallback(guest), warnings: [] }),
};

function planFallback({ identity: { firmware, boot_store } }: Guest<WindowsIdentity>): CopyFile[] {
  const fallback = boot_store?.fallback ?? null;
  if (firmware !== 'uefi' || fallback === null || fallback.state === 'same') return [];
  const { manager, path, state } = fallback;
  if (manager === null) {
    // Another program may know how to start Windows.
    if (state === 'different') return [];
    throw new Hyper2kvmError(
      'plan.uefi-no-loader',
      `the EFI system partition ${boot_store?.device} has neither Windows’ boot manager nor a fallback`,
      {
        advice:
          'Write the boot files again on the old hypervisor: give the EFI system partition a letter (`mountvol S: /S`) and run `bcdboot C:\\Windows /s S: /f UEFI`.',
      },
    );
  }
  const reason =
    state === 'missing'
      ? 'the firmware of a new VM knows no boot entries: it starts this file'
      : 'the firmware of a new VM starts this file, which is not Windows’ boot manager';
  return [{ op: 'copy_file', fixer: NAME, reason, from: manager, path }];
}

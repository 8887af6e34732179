import type { Hardware } from '../../model/hardware.js';
import type { Warning } from '../../model/plan.js';

/** Returns the warning about a TPM, whose content no export has: the new VM's is empty. Pure. */
export function tpmWarnings({ hardware }: { hardware: Hardware }): Warning[] {
  if (hardware.tpm !== true) return [];
  const message =
    'the VM had a TPM, and what it held stays behind: Windows Hello (PINs), keys and certificates in it, and BitLocker of data volumes have to be set up again';
  return [{ fixer: 'windows-devices', code: 'devices.windows-tpm-state', message }];
}

import type { Hardware } from '../model/hardware.js';
import type { MachineIdentity } from '../model/identity.js';
import type { MachineType } from './architecture.js';
import type { Machine } from './machine.js';

/** Vista: the first Windows for PCI Express, and the first that knows Hyper-V's interface. */
const FIRST_ON_Q35 = 6000;
/** Windows 11. */
const FIRST_WITH_TPM = 22_000;

type Traits = Pick<Machine, 'hyperv' | 'secureBoot' | 'tpm' | 'uuid' | 'isPinned' | 'bootDisk' | 'clock'>;

/** What only Windows needs of a machine. */
const NONE: Traits = {
  hyperv: false,
  secureBoot: false,
  tpm: false,
  uuid: null,
  isPinned: false,
  bootDisk: 0,
  clock: 'utc',
};

/**
 * Returns what the machine has because its guest is Windows: devices stay where they are, since Windows keeps
 * the settings of a device by its place; it knows its machine by the SMBIOS UUID; and it is given Hyper-V's
 * interface, without which its timers and locks are slow. Pure.
 */
export function windowsTraits(
  identity: MachineIdentity | null,
  hardware: Hardware | null,
  { architecture, firmware, disks }: Pick<Machine, 'architecture' | 'firmware' | 'disks'>,
): Traits {
  if (identity?.os_type !== 'windows') {
    // DOS reads the hardware clock as its user does.
    return identity?.os_type === 'dos' ? { ...NONE, clock: 'localtime' } : NONE;
  }
  const { build = FIRST_ON_Q35, installation_type, clock = 'localtime', boot_store } = identity;
  // Hyper-V's interface, SMM and this TPM are a PC's.
  const isModern = build >= FIRST_ON_Q35 && architecture.isPc;
  const isUefi = firmware === 'uefi';
  const isClient11 = build >= FIRST_WITH_TPM && installation_type === 'Client';
  const bootDisk = boot_store?.disk ?? 0;
  return {
    hyperv: isModern,
    secureBoot: isModern && isUefi && hardware?.secure_boot === true,
    tpm: isModern && (isClient11 || hardware?.tpm === true),
    uuid: identity.smbios_uuid ?? hardware?.uuid ?? null,
    isPinned: true,
    bootDisk: bootDisk < disks.length ? bootDisk : 0,
    clock,
  };
}

/** Returns the board for a Windows of this build, if it cannot use a newer one. Pure. */
export function oldBoard(identity: MachineIdentity | null): MachineType | null {
  const isOld = identity?.os_type === 'windows' && (identity.build ?? FIRST_ON_Q35) < FIRST_ON_Q35;
  return isOld ? 'pc' : null;
}

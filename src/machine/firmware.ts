import { constants } from 'node:fs';
import { access, copyFile } from 'node:fs/promises';
import { Hyper2kvmError } from '../errors/error.js';

export interface UefiImages {
  code: string;
  variables: string;
}

/** Builds without Secure Boot, and of one size each: code and variables must belong together. */
const UEFI_IMAGES: readonly UefiImages[] = [
  { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  { code: '/usr/share/OVMF/OVMF_CODE.fd', variables: '/usr/share/OVMF/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
  { code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd', variables: '/usr/share/edk2/x64/OVMF_VARS.4m.fd' },
  { code: '/usr/share/qemu/ovmf-x86_64-code.bin', variables: '/usr/share/qemu/ovmf-x86_64-vars.bin' },
];

/** The first of `candidates` that is whole and readable. Throws `validate.no-uefi-firmware`. */
export async function findUefi(candidates: readonly UefiImages[] = UEFI_IMAGES): Promise<UefiImages> {
  for (const images of candidates) {
    if ((await readable(images.code)) && (await readable(images.variables))) return images;
  }
  throw new Hyper2kvmError('validate.no-uefi-firmware', 'No UEFI firmware for the boot test was found', {
    advice: 'Install it (Debian: apt install ovmf; Fedora: edk2-ovmf), or set validate.enabled = false.',
  });
}

/** Copies the pristine variables to `target`: the old hypervisor's entries are not known, as on the VM's first start under libvirt. */
export async function freshVariables(images: UefiImages, target: string): Promise<UefiImages> {
  await copyFile(images.variables, target);
  return { code: images.code, variables: target };
}

function readable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

import type { ErrorCode } from '../../errors/catalogue.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { WindowsIdentity } from '../../model/identity.js';

/**
 * Throws for a Windows guest, with what was found: for its state if that forbids every change, else because
 * there are no changes for Windows yet.
 */
export function refuseWindows(identity: WindowsIdentity): never {
  const { os_name: name, build, architecture, root } = identity;
  const found = `${name} (build ${build}, ${architecture}) is on ${root}`;
  const [code, reason] = reasonFor(identity);
  throw new Hyper2kvmError(code, `${found}${reason}`);
}

function reasonFor({ hibernated, dynamic_disk, boot_store }: WindowsIdentity): [ErrorCode, string] {
  if (hibernated) return ['plan.windows-hibernated', ' and is hibernated: hiberfil.sys holds its memory'];
  if (dynamic_disk) return ['plan.windows-dynamic-disk', ', which is on a dynamic disk'];
  if (boot_store?.matches_root === false)
    return [
      'plan.windows-boot-store',
      `, but the boot configuration on ${boot_store.device} starts another partition`,
    ];
  return ['plan.windows-unsupported', ': this version does not change Windows guests yet'];
}

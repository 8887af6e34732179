import type { ErrorCode } from '../../errors/catalogue.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { WindowsIdentity } from '../../model/identity.js';

/** Drivers, hives that grow and the first boot need some of it, and Windows itself when it starts. */
const FREE_BYTES = 100 * 1024 ** 2;
/** Windows XP. */
const FIRST_BUILD = 2600;

/** Throws for a Windows guest that must not be changed, or that nothing is known of, with what was found. */
export function refuseWindows(identity: WindowsIdentity): void {
  const refusal = refusalOf(identity);
  if (refusal === null) return;
  const { os_name: name, build, architecture, root } = identity;
  const [code, reason] = refusal;
  throw new Hyper2kvmError(code, `${name} (build ${build}, ${architecture}) is on ${root}${reason}`);
}

function refusalOf(identity: WindowsIdentity): [ErrorCode, string] | null {
  const { architecture, build, hibernated, dynamic_disk, boot_store, root, volumes } = identity;
  if (architecture !== 'i386' && architecture !== 'x86_64')
    return ['plan.windows-unsupported', ': only Windows for x86 and x64 is changed'];
  if (build < FIRST_BUILD) return ['plan.windows-unsupported', ': only Windows XP and later is changed'];
  if (hibernated) return ['plan.windows-hibernated', ' and is hibernated: hiberfil.sys holds its memory'];
  if (dynamic_disk) return ['plan.windows-dynamic-disk', ', which is on a dynamic disk'];
  if (boot_store?.matches_root === false)
    return [
      'plan.windows-boot-store',
      `, but the boot configuration on ${boot_store.device} starts another partition`,
    ];
  const free = volumes.find(({ device }) => device === root)?.free ?? null;
  if (free !== null && free < FREE_BYTES)
    return ['plan.windows-no-space', `, which has ${Math.floor(free / 1024 ** 2)} MiB free: 100 are needed`];
  return null;
}

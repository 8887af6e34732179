import { fileURLToPath } from 'node:url';
import { inScript } from '#hyper2kvm/appliance/disk-names.js';
import { run } from '#hyper2kvm/tools/run.js';

/**
 * A shell script for a libguestfs appliance with these disks, called `/dev/sda` and so on in their order. It
 * runs as root there and sees nothing else of this host.
 */
export interface ApplianceScript {
  disks: readonly { file: string; format: 'raw' | 'qcow2'; readonly: boolean }[];
  script: string;
}

const CHILD = fileURLToPath(new URL('appliance-script.ts', import.meta.url));

/**
 * The script with the names that the kernel of the appliance gave the disks (appliance/disk-names.ts). Pure.
 */
export function withDiskNames(script: string): string {
  const letters = [...new Set([...script.matchAll(/\/dev\/sd([a-z])/g)].map(([, letter]) => letter ?? ''))];
  const names = letters.map((letter) => `disk_${letter}=${inScript(`/dev/sd${letter}`)}`);
  return `${names.join('\n')}\n${script.replaceAll(/\/dev\/sd([a-z])/g, '$${disk_$1}')}`;
}

/**
 * About 25 s without KVM beside the script's own time. Throws with the end of what the script said where it
 * fails.
 */
export async function runInAppliance(request: ApplianceScript): Promise<void> {
  await run(process.execPath, [CHILD], {
    input: JSON.stringify({ ...request, script: withDiskNames(request.script) }),
    timeoutSeconds: 1_800,
    env: {
      LIBGUESTFS_BACKEND: 'direct',
      LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg',
      // libguestfs' own default is $TMPDIR, which a test run removes.
      LIBGUESTFS_CACHEDIR: process.env.LIBGUESTFS_CACHEDIR ?? '/var/tmp',
    },
  });
}

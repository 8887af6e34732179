import { fileURLToPath } from 'node:url';
import { run } from '../tools/run.js';

/** A shell script for a libguestfs appliance with these disks, `/dev/sda` first. It runs as root there and sees nothing else of this host. */
export interface ApplianceScript {
  disks: readonly { file: string; format: 'raw' | 'qcow2'; readonly: boolean }[];
  script: string;
}

/** Compiled, also where this module is not: tests run the sources. */
const CHILD = fileURLToPath(new URL('../../dist/lab/appliance-script.js', import.meta.url));

/** About 25 s without KVM beside the script's own time. Throws with the end of what the script said where it fails. */
export async function runInAppliance(request: ApplianceScript): Promise<void> {
  await run(process.execPath, [CHILD], {
    input: JSON.stringify(request),
    timeoutSeconds: 1_800,
    env: { LIBGUESTFS_BACKEND: 'direct', LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' },
  });
}

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { WindowsSnapshot } from '../../../../src/families/windows/inspect/snapshot.js';
import type { Nic } from '../../../../src/model/hardware.js';
import type { WindowsIdentity } from '../../../../src/model/identity.js';
import { inspectGuest } from '../../../../src/stages/inspect/inspect-guest.js';
import { type MemoryDisks, memoryGuest } from '../../access/memory-guest.js';

interface Description {
  nics?: readonly Nic[];
  firmware?: 'bios' | 'uefi' | null;
  chosenRoot?: string | null;
}

/** What INSPECT's thread does with a Windows guest in memory. */
export async function inspectWindows(
  disks: MemoryDisks,
  { nics = [], firmware = null, chosenRoot = null }: Description = {},
) {
  const workDirectory = mkdtempSync(join(tmpdir(), 'h2k-windows-'));
  onTestFinished(() => rmSync(workDirectory, { recursive: true }));
  const { reader, calls } = memoryGuest(disks);
  const request = { keys: [], isOffline: true, controllers: [null], diskIds: [], workDirectory };
  const output = await inspectGuest(reader, { ...request, nics, firmware, chosenRoot }, () => undefined);
  const { identity } = output;
  if (identity.os_type !== 'windows') throw new Error(`it is ${identity.os_type}`);
  const file = join(workDirectory, output.snapshot);
  const text = readFileSync(file, 'utf8');
  return {
    ...output,
    identity: identity satisfies WindowsIdentity,
    file,
    text,
    snapshot: JSON.parse(text) as WindowsSnapshot,
    codes: output.warnings.map(({ code }) => code),
    calls,
  };
}

/** The captured value as hexadecimal; undefined where it was not captured. */
export function captured(
  { system, software }: WindowsSnapshot,
  path: string,
  name: string,
): string | undefined {
  const key = [...system.keys, ...software.keys].find(
    (candidate) => candidate.path.toUpperCase() === path.toUpperCase(),
  );
  return key?.values.find((value) => value.name.toUpperCase() === name.toUpperCase())?.data;
}

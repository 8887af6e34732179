import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { isPe, readPe } from '../../../guest/pe/image.js';
import type { Hive } from '../../../guest/registry/hive.js';
import type { WindowsPaths } from './paths.js';

const HEADERS_BYTES = 4096;
const BY_MACHINE = { x86: 'i386', amd64: 'x86_64', arm64: 'aarch64', other: null } as const;
/** The values of PROCESSOR_ARCHITECTURE. */
const BY_ENVIRONMENT: Record<string, string> = { X86: 'i386', AMD64: 'x86_64', ARM64: 'aarch64' };

/**
 * Returns the architecture by the machine that the kernel is for. Where the kernel cannot be read (Windows may
 * compress it), by what Windows says of itself. Throws `inspect.unknown-architecture`.
 */
export async function windowsArchitecture(
  reader: GuestReader,
  paths: WindowsPaths,
  { systemRoot, system, set }: { systemRoot: string; system: Hive; set: string },
): Promise<string> {
  const kernel = await paths.find(`${systemRoot}/System32/ntoskrnl.exe`);
  const head = kernel === null ? null : await readHead(reader, kernel);
  const environment = system.key(`${set}\\Control\\Session Manager\\Environment`);
  const named = environment?.text('PROCESSOR_ARCHITECTURE')?.toUpperCase() ?? '';
  const own = head !== null && isPe(head) ? BY_MACHINE[readPe(head).machine] : BY_ENVIRONMENT[named];
  if (own != null) return own;
  throw new Hyper2kvmError(
    'inspect.unknown-architecture',
    `${systemRoot}/System32/ntoskrnl.exe is for an unknown machine`,
  );
}

async function readHead(reader: GuestReader, path: string): Promise<Buffer | null> {
  try {
    return (await reader.stat(path))?.type === 'file' ? await reader.readAt(path, 0, HEADERS_BYTES) : null;
  } catch (error) {
    refusal(error);
    return null;
  }
}

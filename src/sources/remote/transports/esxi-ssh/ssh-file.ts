import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { ByteRange, RemoteFile } from '../base/transport.js';
import { interrupted } from '../http/errors.js';
import { realPath } from './find-vm.js';
import { shellQuote } from './shell-quote.js';
import type { SshSession } from './ssh-session.js';

/** Bytes; the landing adds its own endings. */
const LONGEST_NAME = 240;
const LARGEST_STEP = 1024 * 1024;

/** A file of a host, with where it really is there. */
export type SshFile = RemoteFile & { path: string };

/** Describes a file of the host. Errors: `remote.not-found`, `remote.not-allowed`, those of the session. */
export async function openSshFile(session: SshSession, path: string, signal: AbortSignal): Promise<SshFile> {
  const real = await realPath(session, path, signal);
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (Buffer.byteLength(name) > LONGEST_NAME)
    throw new Hyper2kvmError('remote.unsupported-disk', `the name of ${printable(path)} is too long`);
  const origin = `${session.server}:${printable(path)}`;
  const { size, validator } = await statOf(session, real, signal);
  return {
    name,
    path: real,
    size,
    validator,
    hasRanges: true,
    data: null,
    origin,
    read: (range, during) => read(session, real, range ?? { start: 0, end: size }, size, during),
  };
}

/** Throws `remote.source-changed` if a file is not as it was when it was opened. */
export async function confirmFile(
  session: SshSession,
  { path, validator, origin }: SshFile,
  signal: AbortSignal,
): Promise<void> {
  const now = await statOf(session, path, signal);
  if (now.validator !== validator)
    throw new Hyper2kvmError('remote.source-changed', `${origin} has changed while the VM was fetched`);
}

async function statOf(
  session: SshSession,
  path: string,
  signal: AbortSignal,
): Promise<{ size: number; validator: string }> {
  const output = await session.command(`stat -c '%s %Y %i %F' ${shellQuote(path)}`, printable(path), signal);
  const match = /^(\d{1,16}) (\d+ \d+) regular( empty)? file\n?$/.exec(output.toString('utf8'));
  if (match === null || !Number.isSafeInteger(Number(match[1])))
    throw new Hyper2kvmError('remote.unsupported-disk', `${printable(path)} is not a regular file`);
  return { size: Number(match[1]), validator: `${match[1]} ${match[2]}` };
}

/** Yields exactly the bytes of a range, or throws. */
async function* read(
  session: SshSession,
  path: string,
  { start, end }: ByteRange,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (end === start) return;
  // busybox's dd knows neither skip_bytes nor count_bytes. The last block may be short only at the file's end.
  const step = stepOf(start, end === size ? 0 : end);
  const count = Math.ceil((end - start) / step);
  const command = `dd if=${shellQuote(path)} bs=${step} skip=${start / step} count=${count}`;
  let got = 0;
  for await (const bytes of session.stream(command, printable(path), signal)) {
    got += bytes.length;
    if (got > end - start) throw interrupted(`${printable(path)} is longer than it was when it was opened`);
    yield bytes;
  }
  if (got < end - start)
    throw interrupted(`${printable(path)}: ${got} of ${end - start} bytes came before the command ended`);
}

/** Returns the largest power of two, at most 1 MiB, that divides both. */
function stepOf(start: number, end: number): number {
  let step = LARGEST_STEP;
  while (start % step !== 0 || end % step !== 0) step /= 2;
  return step;
}

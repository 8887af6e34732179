import { access, constants, futimes } from 'node:fs';
import { chmod, mkdir, open, readFile, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/**
 * The user who drops, as a process of its own under its own uid (plain Node runs this file). Arguments: a
 * JSON of `Exchange`. It drops an honest disk, keeps a descriptor that may only read, waits until the drop is
 * claimed and `delayMs` longer, then opens the descriptor again for writing, puts the hostile bytes in place
 * and the time of the last modification back. Prints `exchanged`, or why it could not.
 */
export interface Exchange {
  incoming: string;
  /** What appears in incoming. */
  name: string;
  /** The honest disk, which is copied. */
  honest: string;
  /** Written over its beginning; for `directory` the path that takes the disk's place as a link. */
  hostile: string;
  how: 'descriptor' | 'directory';
  delayMs: number;
}

/** Long enough for one reader, short enough to be gone when the drop is looked at again. */
const LINKED_MS = 250;
const exchange = JSON.parse(process.argv[2] ?? '') as Exchange;
const { incoming, name, how, delayMs } = exchange;
process.umask(0o002);
const settings = 'kind = "data"\n';
const inDirectory = how === 'directory';
const staged = join(incoming, `${name}.part`);
let disk = staged;
if (inDirectory) {
  await mkdir(staged);
  await chmod(staged, 0o2775);
  disk = join(staged, 'disk.raw');
  await writeFile(join(staged, 'job.toml'), settings);
} else await writeFile(join(incoming, `${name.replace(/\.[^.]+$/, '')}.job.toml`), settings);
await writeFile(disk, await readFile(exchange.honest));
const held = await open(inDirectory ? staged : disk, constants.O_RDONLY);
const before = await stat(disk);
await rename(staged, join(incoming, name));
while (
  await promisify(access)(join(incoming, name)).then(
    () => true,
    () => false,
  )
)
  await sleep(2);
await sleep(delayMs);
const here = `/proc/self/fd/${held.fd}`;
try {
  if (inDirectory) {
    const aside = join(incoming, `.aside-${name}`);
    await rename(join(here, 'disk.raw'), aside);
    await symlink(exchange.hostile, join(here, 'disk.raw'));
    await sleep(LINKED_MS);
    await unlink(join(here, 'disk.raw'));
    await rename(aside, join(here, 'disk.raw'));
  } else {
    const writer = await open(here, constants.O_RDWR);
    const bytes = await readFile(exchange.hostile);
    await writer.write(bytes, 0, bytes.length, 0);
    await promisify(futimes)(writer.fd, before.atime, before.mtimeMs / 1000);
    await writer.close();
  }
  console.log('exchanged');
} catch (error) {
  console.log(`refused: ${String(error)}`);
}
await held.close();

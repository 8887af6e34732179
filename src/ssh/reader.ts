import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestReader, GuestStat } from '../access/guest-reader.js';
import { configurationTooLarge } from '../access/snapshot-collector.js';
import { tarEntries } from '../access/tar-entries.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../guest/cpio.js';
import { shellWord } from '../text/format.js';
import { sshDevices } from './devices.js';
import type { HostFacts } from './host-facts.js';
import { mountedSubvolumes, refuseUnmounted } from './mounts.js';
import { type RemoteShell, refusedBy } from './shell.js';

/** For one answer that is kept in memory. */
const MAX_READ_BYTES = 256 * 1024 * 1024;

/**
 * Reads a running Linux system by commands. They only read: nothing on the host changes but the times of the
 * last access, and no temporary file is made. `workDirectory` is on this host.
 */
export function sshReader(
  shell: RemoteShell,
  { facts, workDirectory }: { facts: HostFacts; workDirectory: string },
): GuestReader {
  let files = 0;

  async function output(script: string, maxBytes = MAX_READ_BYTES): Promise<Buffer> {
    const result = await shell.run(script, { maxBytes });
    if (result.code !== 0) throw refusedBy(result);
    return result.stdout;
  }

  async function statOf(path: string, follow: '-L' | ''): Promise<GuestStat | null> {
    // Fails only if nothing is there: root may look everywhere.
    const { code, stdout } = await shell.run(`stat ${follow} -c '%f %u %g %s %d %i' -- ${shellWord(path)}`);
    return code === 0 ? parseStat(stdout.toString('utf8')) : null;
  }

  return {
    devices: sshDevices(facts),
    stat: (path) => statOf(path, '-L'),
    lstat: (path) => statOf(path, ''),
    readLink: async (path) => (await output(`readlink -n -- ${shellWord(path)}`)).toString('utf8'),
    read: (path) => output(`cat -- ${shellWord(path)}`),
    readAt: (path, offset, length) =>
      output(`tail -c +${offset + 1} -- ${shellWord(path)} | head -c ${length}`),
    async download(path, file) {
      const result = await shell.save(`cat -- ${shellWord(path)}`, file);
      if (result.code !== 0) throw refusedBy(result);
    },
    list: async (directory) =>
      namesIn(await output(`find ${shellWord(`${directory}/`)} -mindepth 1 -maxdepth 1 -printf '%f\\0'`)),
    async names(directory, most) {
      const word = shellWord(directory);
      const find = `find ${word} -mindepth 1 -printf '%P\\0' | head -c ${most.bytes + 1}`;
      const result = await shell.run(`${ifDirectory(word)}; ${find}`, { maxBytes: most.bytes + 1 });
      if (result.code === NO_DIRECTORY) return null;
      if (result.code !== 0) throw refusedBy(result);
      const names = namesIn(result.stdout);
      if (result.stdout.length > most.bytes || names.length > most.paths) throw configurationTooLarge();
      return names;
    },
    async *capture({ directory, excludes, isKept }) {
      const word = shellWord(directory);
      // Of `/` only what is on it: another filesystem there may be one of the network that does not answer.
      const own = directory === '/' ? '--one-file-system' : '';
      const patterns = excludes.map((pattern) => `--exclude=${shellWord(pattern)}`).join(' ');
      const tar = `tar -c -f - --format=gnu --numeric-owner ${own} ${patterns} -C ${word} .`;
      const file = join(workDirectory, `host-${files++}.part`);
      try {
        // tar exits with 1 if a file changed while it was read.
        const result = await shell.save(`${ifDirectory(word)}; ${tar}; [ $? -le 1 ]`, file);
        if (result.code === NO_DIRECTORY) return;
        if (result.code !== 0) throw refusedBy(result);
        yield* tarEntries(createReadStream(file), { directory, isKept });
      } finally {
        await rm(file, { force: true });
      }
    },
    async mount(mount) {
      refuseUnmounted(facts, mount);
    },
    async unmountAll() {},
    async free(mountpoint) {
      const text = (await output(`stat -f -c '%f %S' -- ${shellWord(mountpoint)}`)).toString('utf8');
      const [blocks = 0, bytes = 0] = text.trim().split(' ').map(Number);
      return blocks * bytes;
    },
    subvolumes: async () => mountedSubvolumes(facts),
  };
}

const NO_DIRECTORY = 44;
/** Ends the script unless the path is a directory, and not a link to one. */
const ifDirectory = (word: string) => `{ [ -d ${word} ] && [ ! -L ${word} ]; } || exit ${NO_DIRECTORY}`;

const namesIn = (bytes: Buffer): string[] =>
  bytes
    .toString('utf8')
    .split('\0')
    .filter((name) => name !== '');

function parseStat(line: string): GuestStat {
  const [raw = '', ...numbers] = line.trim().split(' ');
  const [uid = 0, gid = 0, size = 0, device = 0, inode = 0] = numbers.map(Number);
  const mode = Number.parseInt(raw, 16);
  return { type: typeOf(mode), mode: mode & 0o7777, uid, gid, size, device, inode };
}

function typeOf(mode: number): GuestStat['type'] {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    default:
      return 'other';
  }
}

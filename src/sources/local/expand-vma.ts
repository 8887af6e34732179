import type { DropFile } from '../../disk/assemble.js';
import type { Compression } from '../../disk/compression.js';
import { type Places, pathOf, withBytes } from '../../disk/file-source.js';
import { PROXMOX_CONFIGURATION } from '../../disk/vma/configuration.js';
import { VmaReader } from '../../disk/vma/reader.js';
import { unpackStream } from '../../tools/unpack.js';
import type { Unpacker } from './unpack.js';

const PIECE_BYTES = 1024 * 1024;

/**
 * Takes Proxmox' backup apart: its disks become sparse plain files in the work directory, and the VM's configuration
 * comes beside them. A compressed one is unpacked on the way, not before.
 */
export async function expandVma(
  file: DropFile,
  compression: Compression['name'] | null,
  { places, unpacker }: { places: Places; unpacker: Unpacker },
): Promise<DropFile[]> {
  const members = await unpacker.expand(file, places, async (create, { signal, onRead }) => {
    const puts = new Map<number, Awaited<ReturnType<typeof create>>>();
    const reader = new VmaReader({
      async onHeader({ devices, files }) {
        for (const { id, name, size } of devices) puts.set(id, await create(`${name}${ENDING}`, size));
        const configuration = files.find(({ name }) => name === PROXMOX_CONFIGURATION);
        if (configuration === undefined) return;
        const put = await create(PROXMOX_CONFIGURATION, configuration.content.length);
        await put(configuration.content, 0);
      },
      onBlocks: async ({ id }, bytes, at) => puts.get(id)!(bytes, at),
    });
    if (compression === null)
      await withBytes(file.bytes, places, async (source) => {
        for (let at = 0; at < source.size; at += PIECE_BYTES) {
          await reader.take(await source.read(at, Math.min(PIECE_BYTES, source.size - at)));
          onRead(at);
        }
      });
    else {
      const { region } = file.bytes;
      const packed = {
        compression,
        source: pathOf(file.bytes, places),
        ...(region === undefined ? {} : { region }),
      };
      await unpackStream(packed, (chunk) => reader.take(chunk), { signal, onRead });
    }
    reader.end();
  });
  return members.map((member) => (member.name.endsWith(ENDING) ? { ...member, isDisk: true } : member));
}

const ENDING = '.raw';

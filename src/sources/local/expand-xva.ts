import type { DropFile } from '../../disk/assemble.js';
import { type Places, withBytes } from '../../disk/file-source.js';
import { XVA_DESCRIPTION, xvaFile } from '../../disk/xva/description.js';
import { readXva } from '../../disk/xva/reader.js';
import type { CreateFile, Unpacker } from './unpack.js';

/**
 * Takes XenServer's export apart: its disks become sparse plain files in the work directory, and its description
 * comes beside them.
 */
export async function expandXva(
  file: DropFile,
  { places, unpacker }: { places: Places; unpacker: Unpacker },
): Promise<DropFile[]> {
  const members = await unpacker.expand(file, places, async (create, { onRead }) => {
    const puts = new Map<string, Awaited<ReturnType<CreateFile>>>();
    await withBytes(file.bytes, places, (source) =>
      readXva(source, {
        async onDescription(bytes, disks) {
          for (const disk of disks) puts.set(disk.ref, await create(xvaFile(disk), disk.size));
          const put = await create(XVA_DESCRIPTION, bytes.length);
          await put(bytes, 0);
        },
        onBlock: async ({ ref }, bytes, at) => puts.get(ref)!(bytes, at),
        onRead,
      }),
    );
  });
  return members.map((member) => (member.name === XVA_DESCRIPTION ? member : { ...member, isDisk: true }));
}

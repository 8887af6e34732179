import { withBytes } from '../../disk/file-source.js';
import { parseManifest, verifyDigest } from '../../disk/ovf/manifest.js';
import type { SourceContext } from '../base/source.js';
import { readText } from './description.js';
import type { Inventory } from './inventory.js';

/** Checks every file that the manifest lists and that is there. Reads them whole. Rejects with `fetch.digest-mismatch`. */
export async function verifyManifest(inventory: Inventory, context: SourceContext): Promise<void> {
  const manifest = await readText(inventory, /\.mf$/i);
  if (manifest === null) return;
  const files = new Map(
    inventory.images.map((image) => image.packed ?? image).map((file) => [file.name, file]),
  );
  const lines = parseManifest(manifest.bytes.toString('utf8')).flatMap((line) => {
    const file = files.get(line.name);
    return file === undefined ? [] : [{ line, file }];
  });
  const total = lines.reduce((sum, { file }) => sum + file.size, 0);
  let done = 0;
  for (const { line, file } of lines) {
    await withBytes(file.bytes, inventory.places, (source) =>
      verifyDigest(source, line, context.signal, (bytes) => {
        done += bytes;
        context.account({ read: bytes });
        context.progress({ percent: Math.min(99, (100 * done) / total), step: 'verifying the manifest' });
      }),
    );
  }
  const certificate = inventory.images.some(({ name }) => /\.cert$/i.test(name));
  context.log.info({ files: lines.length, certificate }, 'manifest verified');
}

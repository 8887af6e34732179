import type { DropFile } from '../../disk/assemble.js';
import { NameIndex } from '../../disk/base/names.js';
import { withBytes } from '../../disk/file-source.js';
import { type ManifestLine, parseManifest, verifyDigest } from '../../disk/ovf/manifest.js';
import type { Warning } from '../../model/plan.js';
import { printable } from '../../text/escape-terminal.js';
import type { SourceContext } from '../base/source.js';
import { readManifests } from './description.js';
import type { Inventory } from './inventory.js';

/**
 * Checks the digest of every file that the manifests list and that exists, by reading all of it. Returns a
 * warning for each line that cannot be checked. Rejects with `fetch.digest-mismatch`.
 */
export async function verifyManifests(inventory: Inventory, context: SourceContext): Promise<Warning[]> {
  const files = new Map([...inventory.members, ...inventory.pieces].map((file) => [file.name, file]));
  const names = new NameIndex(files.keys());
  const warnings: Warning[] = [];
  const checks: { line: ManifestLine; file: DropFile }[] = [];
  for (const { name: manifest, bytes } of await readManifests(inventory)) {
    const { lines, unknown } = parseManifest(bytes);
    if (unknown.length > 0) warnings.push(unknownLines(manifest, unknown));
    for (const line of lines) {
      const name = names.find(line.name, manifest);
      const file = name === null ? undefined : files.get(name);
      if (file !== undefined) checks.push({ line, file });
    }
  }
  await verify(checks, inventory, context);
  if (checks.length > 0) {
    const certificate = inventory.members.some(({ name }) => /\.cert$/i.test(name));
    context.log.info({ files: checks.length, certificate }, 'manifest verified');
  }
  return warnings;
}

async function verify(
  checks: readonly { line: ManifestLine; file: DropFile }[],
  { places }: Inventory,
  context: SourceContext,
): Promise<void> {
  const total = checks.reduce((sum, { file }) => sum + file.size, 0);
  let done = 0;
  for (const { line, file } of checks) {
    await withBytes(file.bytes, places, (source) =>
      verifyDigest(source, line, context.signal, (bytes) => {
        done += bytes;
        context.account({ read: bytes });
        context.progress({ percent: Math.min(99, (100 * done) / total), step: 'verifying the manifest' });
      }),
    );
  }
}

function unknownLines(manifest: string, lines: readonly string[]): Warning {
  const more = lines.length === 1 ? '' : ` and ${lines.length - 1} more`;
  return {
    fixer: 'fetch',
    code: 'fetch.manifest-unread',
    message: `${printable(manifest)} has lines that are not a digest (“${printable(lines[0]!, 60)}”${more}): the files that they stand for were not checked`,
  };
}

import {
  parseSectionPath,
  UNIFIED_HEADER_BYTES,
  type UnifiedSection,
  unifiedSections,
  withoutNuls,
  withSection,
} from '../guest/unified-image.js';
import { sizeOf } from './guest-reader.js';
import type { GuestWriter } from './guest-writer.js';

type SectionPath = NonNullable<ReturnType<typeof parseSectionPath>>;

/**
 * Returns `target` with the sections of unified kernel images (`IMAGE.efi:.initrd`) as files. They can be
 * read, rewritten and appended to; the image stays in place.
 */
export function withUnifiedImages(target: GuestWriter): GuestWriter {
  async function find({ image, section: name }: SectionPath, size?: number): Promise<UnifiedSection> {
    const bytes = size ?? (await sizeOf(target, image));
    const head = await target.readAt(image, 0, Math.min(UNIFIED_HEADER_BYTES, bytes));
    const section = unifiedSections(head, bytes).find((candidate) => candidate.name === name);
    return section ?? { name, offset: 0, size: 0 };
  }

  async function readSection(part: SectionPath): Promise<Buffer> {
    const { offset, size } = await find(part);
    const bytes = await target.readAt(part.image, offset, size);
    return part.section === '.cmdline' ? withoutNuls(bytes) : bytes;
  }

  return {
    ...target,
    async read(path) {
      const part = parseSectionPath(path);
      return part === null ? target.read(path) : readSection(part);
    },
    async rewrite(path, content) {
      const part = parseSectionPath(path);
      if (part === null) return target.rewrite(path, content);
      await target.rewrite(part.image, withSection(await target.read(part.image), part.section, content));
    },
    async stat(path) {
      const part = parseSectionPath(path);
      const stat = await target.stat(part?.image ?? path);
      if (part === null || stat?.type !== 'file') return stat;
      return { ...stat, size: (await find(part, stat.size)).size };
    },
    async append(path, bytes, offset) {
      const part = parseSectionPath(path);
      if (part === null) return target.append(path, bytes, offset);
      const image = await target.read(part.image);
      const section = unifiedSections(image, image.length).find(({ name }) => name === part.section);
      const start = section?.offset ?? 0;
      const content = Buffer.concat([image.subarray(start, start + offset), bytes]);
      await target.rewrite(part.image, withSection(image, part.section, content));
    },
    async readAt(path, offset, length) {
      const part = parseSectionPath(path);
      if (part === null) return target.readAt(path, offset, length);
      const section = await find(part);
      const wanted = Math.max(0, Math.min(length, section.size - offset));
      return target.readAt(part.image, section.offset + offset, wanted);
    },
  };
}

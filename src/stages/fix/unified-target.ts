import type { GuestWriter } from '../../access/guest-writer.js';
import {
  type ChangeableSection,
  parseSectionPath,
  UNIFIED_HEADER_BYTES,
  type UnifiedSection,
  unifiedSections,
  withoutNuls,
  withSection,
} from '../../guest/unified-image.js';

/** `target` on which the sections of unified kernel images (`IMAGE.efi:.initrd`) are files. They are read, rewritten and appended to; the image keeps its place. */
export function withUnifiedImages(target: GuestWriter): GuestWriter {
  async function find(image: string, name: ChangeableSection): Promise<UnifiedSection> {
    const bytes = await target.size(image);
    const head = await target.readAt(image, 0, Math.min(UNIFIED_HEADER_BYTES, bytes));
    const section = unifiedSections(head, bytes).find((candidate) => candidate.name === name);
    return section ?? { name, offset: 0, size: 0 };
  }

  async function readSection(image: string, name: ChangeableSection): Promise<Buffer> {
    const { offset, size } = await find(image, name);
    const bytes = await target.readAt(image, offset, size);
    return name === '.cmdline' ? withoutNuls(bytes) : bytes;
  }

  return {
    ...target,
    async read(path) {
      const part = parseSectionPath(path);
      return part === null ? target.read(path) : readSection(part.image, part.section);
    },
    async rewrite(path, content) {
      const part = parseSectionPath(path);
      if (part === null) return target.rewrite(path, content);
      await target.rewrite(part.image, withSection(await target.read(part.image), part.section, content));
    },
    async exists(path) {
      return target.exists(parseSectionPath(path)?.image ?? path);
    },
    async size(path) {
      const part = parseSectionPath(path);
      return part === null ? target.size(path) : (await find(part.image, part.section)).size;
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
      const section = await find(part.image, part.section);
      const wanted = Math.max(0, Math.min(length, section.size - offset));
      return target.readAt(part.image, section.offset + offset, wanted);
    },
  };
}

import { createHash } from 'node:crypto';
import { corrupt, incomplete, readExact, truncated } from '../base/bytes.js';
import type { ByteSource, Completeness } from '../base/format.js';
import { plainMembers, type TarMember } from '../base/tar.js';
import { parseXva, XVA_DESCRIPTION, type XvaDisk } from './description.js';
import { xxh64 } from './xxhash.js';

/** `Ref:12/00000034`, and the digest of that block. */
const BLOCK = /^(Ref:\d{1,9})\/(\d{8,9})(\.checksum|\.xxhash)?$/;
const MAX_BLOCK = 64 * 1024 * 1024;
const MAX_DESCRIPTION = 16 * 1024 * 1024;

export interface XvaSink {
  /** Called once, before any block. */
  onDescription(bytes: Buffer, disks: readonly XvaDisk[]): Promise<void>;
  /** A block that is in the archive, with its place on the disk; what is left out is zeros. */
  onBlock(disk: XvaDisk, bytes: Buffer, at: number): Promise<void>;
  /** Bytes of the archive that were read. */
  onRead?(bytes: number): void;
}

/** How far a disk was read. */
interface Reached {
  disk: XvaDisk;
  /** The number of the last block. The numbers count blocks, and are not places: an empty one takes no room. */
  last: number;
  at: number;
  /** Bytes of the first block, and so of those that are left out. */
  blockSize: number;
}

interface Block {
  disk: XvaDisk;
  member: TarMember;
  at: number;
  /** Its name in the archive, and that of its digest without the ending. */
  name: string;
}

/**
 * Reads XenServer's XVA from front to back ("The XenServer VM import/format" of xapi): a tar with `ova.xml` and the
 * blocks of each disk, where blocks of zeros are left out but for the first and the last. Checks the digests. Rejects
 * with `fetch.corrupt`, `fetch.truncated`, `fetch.unsupported`.
 */
export async function readXva(source: ByteSource, sink: XvaSink): Promise<void> {
  let open: { block: Block; bytes: Buffer } | null = null;
  await walk(source, {
    onDescription: (bytes, disks) => sink.onDescription(bytes, disks),
    async onBlock(block) {
      const { offset, size } = block.member;
      const bytes = await readExact(source, offset, size, 'a block of the XVA');
      open = { block, bytes };
      await sink.onBlock(block.disk, bytes, block.at);
      sink.onRead?.(offset + size);
    },
    async onDigest(name, ending, { offset, size }) {
      if (open === null || open.block.name !== name || size > 128)
        throw corrupt('the XVA has a checksum without its block');
      const written = (await readExact(source, offset, size, 'a checksum of the XVA'))
        .toString('latin1')
        .trim();
      const digest =
        ending === '.xxhash' ? xxh64(open.bytes) : createHash('sha1').update(open.bytes).digest('hex');
      if (written.toLowerCase() !== digest) throw corrupt(`the checksum of ${name} in the XVA is wrong`);
      open = null;
    },
  });
}

/** Tells by the members' headers whether all blocks of all disks have arrived. */
export async function xvaCompleteness(source: ByteSource): Promise<Completeness> {
  try {
    await walk(source, { onDescription: async () => {}, onBlock: async () => {}, onDigest: async () => {} });
    return { complete: true, allocated: null };
  } catch (error) {
    return incomplete(error);
  }
}

interface Visitor {
  onDescription: XvaSink['onDescription'];
  onBlock(block: Block): Promise<void>;
  onDigest(name: string, ending: string, member: TarMember): Promise<void>;
}

async function walk(source: ByteSource, visitor: Visitor): Promise<void> {
  let reached: Map<string, Reached> | null = null;
  for await (const member of plainMembers(source)) {
    if (reached === null) {
      reached = await begin(source, member, visitor);
      continue;
    }
    const [, ref, number, ending] = BLOCK.exec(member.name) ?? [];
    const state = reached.get(ref ?? '');
    // Disks that the VM does not have, such as those of its snapshots.
    if (state === undefined || number === undefined) continue;
    const name = `${ref}/${number}`;
    if (ending !== undefined) await visitor.onDigest(name, ending, member);
    else await advance(state, Number(number), { name, member }, visitor);
    if ([...reached.values()].every(({ at, disk }) => at === disk.size) && ending !== undefined) return;
  }
  if (reached === null) throw truncated('the XVA has no members');
  for (const { at, disk } of reached.values())
    if (at < disk.size) throw truncated(`${disk.ref} of the XVA ends at byte ${at} of ${disk.size}`);
}

async function begin(
  source: ByteSource,
  { name, offset, size }: TarMember,
  visitor: Visitor,
): Promise<Map<string, Reached>> {
  if (name !== XVA_DESCRIPTION || size > MAX_DESCRIPTION)
    throw corrupt(`the XVA does not begin with its ${XVA_DESCRIPTION}`);
  const bytes = await readExact(source, offset, size, XVA_DESCRIPTION);
  const { disks } = parseXva(bytes);
  await visitor.onDescription(bytes, disks);
  return new Map(disks.map((disk) => [disk.ref, { disk, last: -1, at: 0, blockSize: 0 }]));
}

async function advance(
  state: Reached,
  number: number,
  { name, member }: Pick<Block, 'name' | 'member'>,
  visitor: Visitor,
): Promise<void> {
  const { disk } = state;
  const { size } = member;
  if (state.last === -1 && number !== 0)
    throw corrupt(`${disk.ref} of the XVA does not begin with its first block`);
  if (number <= state.last) throw corrupt(`${name} of the XVA is twice, or out of order`);
  if (state.last === -1) state.blockSize = size;
  if (size > MAX_BLOCK) throw corrupt(`${name} of the XVA is larger than any real block`);
  const at = state.at + (number - state.last - 1) * state.blockSize;
  if (at + size > disk.size) throw corrupt(`${name} of the XVA is behind the end of its disk`);
  state.last = number;
  state.at = at + size;
  await visitor.onBlock({ disk, member, at, name });
}

/** True if a file with these first bytes is a tar that begins with an `ova.xml`. */
export function looksLikeXva(head: Buffer): boolean {
  return /^(?:\.\/)?ova\.xml\0/.test(head.toString('latin1', 0, 100));
}

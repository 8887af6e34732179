import type { DropFile } from '../../disk/assemble.js';
import { isArchive, isVmArchive, isVma } from '../../disk/base/archive-names.js';
import { indexTar, type TarMember } from '../../disk/base/tar.js';
import { indexZip, looksLikeZip, type ZipMember } from '../../disk/base/zip.js';
import { compressionIn, innerName, type Packed } from '../../disk/compression.js';
import { type Places, withBytes } from '../../disk/file-source.js';
import { type ForeignContent, foreignArchive } from '../../disk/foreign.js';
import { formatOfExtension } from '../../disk/formats.js';
import { looksLikeVma } from '../../disk/vma/reader.js';
import { looksLikeXva } from '../../disk/xva/reader.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { gzipFrame } from '../../tools/unpack.js';
import { expandVma } from './expand-vma.js';
import { expandXva } from './expand-xva.js';
import type { Inventory } from './inventory.js';
import { joinPieces } from './join-pieces.js';
import type { Unpacker } from './unpack.js';

type Contents = Pick<Inventory, 'members' | 'pieces' | 'hidden' | 'prefix'>;

/** An OVA that somebody packed with tar again. */
const MAX_ARCHIVES = 2;

/** Returns what is inside, if all there is is an archive; `depth` archives in each other are opened. */
export async function insideOf(
  found: Contents,
  places: Places,
  unpacker: Unpacker,
  depth = MAX_ARCHIVES,
): Promise<Contents> {
  const archive = depth === 0 ? null : onlyArchive(found.members);
  if (archive === null) return found;
  const prefix = `${found.prefix}${innerName(archive.name)}/`;
  const inside = visible(await membersOf(archive, places, unpacker), prefix);
  const joined = await joinPieces(inside.members, places, unpacker);
  const hidden = [...found.hidden, ...inside.hidden];
  return insideOf({ ...joined, hidden, prefix }, places, unpacker, depth - 1);
}

/**
 * Leaves out what macOS adds beside other files, and all other hidden files: none of them belong to the VM.
 */
export function visible(files: readonly DropFile[], prefix: string): Pick<Inventory, 'members' | 'hidden'> {
  const isHidden = ({ name }: DropFile) =>
    name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
  const members = files.filter((file) => !isHidden(file));
  return {
    members,
    hidden: files.filter(isHidden).map(({ name }) => prefix + name),
  };
}

/** Returns the archive if the drop is one; one in a folder counts if there is no other and no disk. */
function onlyArchive(members: readonly DropFile[]): DropFile | null {
  const own = members.filter(({ name }) => !name.includes('/'));
  const isDisk = ({ name }: DropFile) => formatOfExtension(innerName(name)) !== null;
  const ovas = own.filter(({ name }) => isVmArchive(innerName(name)));
  // Beside disks (or where those are in folders), logs and the like are archived too.
  const isVm = members.some((file) => isDisk(file) || /\.(?:vmx|ovf)$/i.test(file.name));
  const others = isVm ? [] : own.filter(({ name }) => isArchive(innerName(name)));
  const [first, second] = ovas.length > 0 ? ovas : others;
  if (first === undefined) {
    const below = isVm ? [] : members.filter(({ name }) => isArchive(innerName(name)));
    return below.length === 1 ? (below[0] ?? null) : null;
  }
  if (second === undefined && !own.some(isDisk)) return first;
  throw new Hyper2kvmError(
    'fetch.several-vms',
    `the drop has ${printable(first.name)} and other disks or archives`,
    {
      advice: 'Drop each archive on its own.',
    },
  );
}

/** Takes apart what QEMU cannot read in place: a VMA, an XVA. Null for all other archives. */
async function containerMembers(
  archive: DropFile,
  packed: Packed | null,
  { places, unpacker }: { places: Places; unpacker: Unpacker },
): Promise<DropFile[] | null> {
  const head = await withBytes(archive.bytes, places, (source) => source.read(0, HEAD_BYTES));
  const isPackedVma = packed !== null && isVma(packed.inner);
  if (isPackedVma || looksLikeVma(head))
    return expandVma(archive, packed?.compression.name ?? null, { places, unpacker });
  return looksLikeXva(head) ? expandXva(archive, { places, unpacker }) : null;
}

const HEAD_BYTES = 512;

/**
 * Reads an archive in place: its members are parts of the one file. A compressed one is unpacked first, as are
 * the members of a ZIP archive and sparse files in a tar.
 */
async function membersOf(archive: DropFile, places: Places, unpacker: Unpacker): Promise<DropFile[]> {
  const packed = await withBytes(archive.bytes, places, (source) => compressionIn(archive.name, source));
  const apart = await containerMembers(archive, packed, { places, unpacker });
  if (apart !== null) return apart;
  const whole: DropFile =
    packed === null
      ? archive
      : { name: packed.inner, ...(await unpacker.unpack(archive, packed.compression.name, places)) };
  const inside = packed === null ? null : await containerMembers(whole, null, { places, unpacker });
  if (inside !== null) {
    await unpacker.forget(whole);
    return inside;
  }
  const { bytes } = whole;
  const start = bytes.region?.offset ?? 0;
  const part = ({ name, offset, size }: TarMember | ZipMember): DropFile => ({
    name,
    size,
    bytes: { ...bytes, region: { offset: start + offset, size } },
  });
  const isZip = await withBytes(bytes, places, async (source) => looksLikeZip(await source.read(0, 4)));
  if (!isZip) {
    const foreign = await withBytes(bytes, places, foreignArchive);
    if (foreign !== null) throw notAnArchive(archive.name, foreign);
    const files: DropFile[] = [];
    for (const member of await withBytes(bytes, places, indexTar)) {
      const file = part(member);
      files.push(
        member.sparse === undefined ? file : await withHoles(file, member, { bytes, places, unpacker }),
      );
    }
    return files;
  }
  const members: DropFile[] = [];
  for (const member of await withBytes(bytes, places, indexZip)) {
    const file = part(member);
    const { deflated } = member;
    if (deflated === null) members.push(file);
    else members.push({ ...file, ...(await unpacker.unpack(file, 'gzip', places, gzipFrame(deflated))) });
  }
  return members;
}

const BLOCK_BYTES = 1024 * 1024;

/** Makes a sparse file of a tar as it was. */
async function withHoles(
  file: DropFile,
  { name, sparse }: TarMember,
  { bytes, places, unpacker }: { bytes: DropFile['bytes']; places: Places; unpacker: Unpacker },
): Promise<DropFile> {
  const { size, parts } = sparse!;
  const fill = (put: (block: Buffer, at: number) => Promise<void>) =>
    withBytes(bytes, places, async (source) => {
      for (const { at, offset, length } of parts)
        for (let done = 0; done < length; done += BLOCK_BYTES)
          await put(await source.read(offset + done, Math.min(BLOCK_BYTES, length - done)), at + done);
    });
  return { name, ...(await unpacker.make({ name, from: [file], size, fill }, places)) };
}

function notAnArchive(name: string, { what, advice }: ForeignContent): Hyper2kvmError {
  return new Hyper2kvmError(
    'fetch.unknown-format',
    `${printable(name)}: this is not an archive of a VM: it ${what}`,
    {
      advice: advice ?? 'Export the VM again.',
    },
  );
}

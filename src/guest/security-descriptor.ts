/**
 * Security descriptors of NTFS (Microsoft, [MS-DTYP] 2.4), as the extended attribute `system.ntfs_acl` of
 * ntfs-3g holds them. What ntfs-3g creates gives everyone full control: nothing that FIX writes may stay so,
 * because SYSTEM loads and runs it.
 */
export const NTFS_ACL = 'system.ntfs_acl';

const SYSTEM = sid(18);
const ADMINISTRATORS = sid(32, 544);
const USERS = sid(32, 545);

const FULL_CONTROL = 0x001f_01ff;
const READ_AND_EXECUTE = 0x0012_00a9;
/** OBJECT_INHERIT_ACE and CONTAINER_INHERIT_ACE: files and folders below get the same. */
const INHERITED_BY_ALL = 3;
/** SE_SELF_RELATIVE, SE_DACL_PRESENT, and SE_DACL_PROTECTED: nothing is inherited from above. */
const CONTROL = 0x8000 | 0x0004 | 0x1000;
const HEADER_BYTES = 20;

/**
 * Returns the descriptor of what only SYSTEM and Administrators may change, and users read and execute. The
 * owner is Administrators.
 */
export function protectedDescriptor(type: 'file' | 'directory'): Buffer {
  const flags = type === 'directory' ? INHERITED_BY_ALL : 0;
  const list = accessList([
    allowed(flags, FULL_CONTROL, SYSTEM),
    allowed(flags, FULL_CONTROL, ADMINISTRATORS),
    allowed(flags, READ_AND_EXECUTE, USERS),
  ]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(1, 0);
  header.writeUInt16LE(CONTROL, 2);
  header.writeUInt32LE(HEADER_BYTES + list.length, 4);
  header.writeUInt32LE(HEADER_BYTES + list.length + ADMINISTRATORS.length, 8);
  header.writeUInt32LE(HEADER_BYTES, 16);
  return Buffer.concat([header, list, ADMINISTRATORS, SYSTEM]);
}

/** Returns S-1-5-… of these parts. */
function sid(...parts: number[]): Buffer {
  const bytes = Buffer.alloc(8 + 4 * parts.length);
  bytes.writeUInt8(1, 0);
  bytes.writeUInt8(parts.length, 1);
  bytes.writeUInt8(5, 7);
  for (const [index, part] of parts.entries()) bytes.writeUInt32LE(part, 8 + 4 * index);
  return bytes;
}

function allowed(flags: number, mask: number, who: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(flags, 1);
  head.writeUInt16LE(8 + who.length, 2);
  head.writeUInt32LE(mask, 4);
  return Buffer.concat([head, who]);
}

function accessList(entries: readonly Buffer[]): Buffer {
  const body = Buffer.concat(entries);
  const head = Buffer.alloc(8);
  head.writeUInt8(2, 0);
  head.writeUInt16LE(8 + body.length, 2);
  head.writeUInt16LE(entries.length, 4);
  return Buffer.concat([head, body]);
}

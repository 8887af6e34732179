import { constants } from 'node:os';
import koffi from 'koffi';
import type { ArgumentKind, ReturnKind, Signature } from './functions.js';

/** A libguestfs call that returned its error value, with `guestfs_last_error` and `guestfs_last_errno`. */
export class GuestfsError extends Error {
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

export interface Handle {
  call(name: string, signature: Signature, args: readonly unknown[]): unknown;
  version(): string;
  close(): void;
}

const C_ARGUMENT: Record<ArgumentKind, readonly string[]> = {
  string: ['str'],
  int: ['int'],
  int64: ['int64_t'],
  boolean: ['int'],
  strings: ['const char **'],
  buffer: ['const void *', 'size_t'],
};
const C_RETURN: Record<ReturnKind, string> = {
  none: 'int',
  int: 'int',
  int64: 'int64_t',
  string: 'void *',
  strings: 'void *',
  hash: 'void *',
  buffer: 'void *',
  stat: 'void *',
  statvfs: 'void *',
  subvolumes: 'void *',
  entries: 'void *',
};
/**
 * All results except for string lists are one block of memory to free; lists of structs have further blocks,
 * which are freed when the process ends.
 */
const POINTER_BYTES = 8;
const { EFBIG } = constants.errno;
/** A directory with more is not decoded: its names would fill the memory. */
const MAX_ENTRIES = 100_000;

/**
 * Loads libguestfs.so.0 (the ABI has been stable since 1.0). Throws the loader's message if it is missing.
 */
export function openLibrary(): { create(): Handle } {
  const library = koffi.load('libguestfs.so.0');
  const free = koffi.load('libc.so.6').func('void free(void *)');
  const lastError = library.func('const char *guestfs_last_error(void *)');
  const lastErrno = library.func('int guestfs_last_errno(void *)');
  const functions = new Map<string, ReturnType<typeof library.func>>();

  function bind(name: string, signature: Signature): ReturnType<typeof library.func> {
    const known = functions.get(name);
    if (known !== undefined) return known;
    const parameters = ['void *', ...signature.args.flatMap((kind) => C_ARGUMENT[kind])];
    if (signature.returns === 'buffer') parameters.push('_Out_ size_t *');
    if (signature.options !== undefined || signature.variadic) parameters.push('...');
    const bound = library.func(`${C_RETURN[signature.returns]} guestfs_${name}(${parameters.join(', ')})`);
    functions.set(name, bound);
    return bound;
  }

  function take(pointer: unknown, kind: ReturnKind, size: number): unknown {
    const result = decode(pointer, kind, size);
    if (kind === 'strings' || kind === 'hash') {
      for (let index = 0; ; index++) {
        const item = koffi.decode(pointer, index * POINTER_BYTES, 'void *');
        if (item === null || item === 0n) break;
        free(item);
      }
    }
    free(pointer);
    return result;
  }

  return {
    create() {
      const handle: unknown = library.func('void *guestfs_create(void)')();
      if (handle === null) throw new GuestfsError('guestfs_create failed: out of memory', 12);
      // Without a handler, libguestfs would also print errors to stderr; the message comes from
      // guestfs_last_error.
      library.func('void guestfs_set_error_handler(void *, void *, void *)')(handle, null, null);
      return {
        call(name, signature, args) {
          const size = [0];
          const values: unknown[] = [
            handle,
            ...signature.args.flatMap((kind, index) => toC(kind, args[index])),
          ];
          if (signature.returns === 'buffer') values.push(size);
          if (signature.options !== undefined || signature.variadic) {
            values.push(...optionsToC(signature, args[signature.args.length]));
          }
          const result: unknown = bind(name, signature)(...values);
          if (isErrorValue(signature.returns, result)) {
            throw new GuestfsError(String(lastError(handle) ?? `${name} failed`), Number(lastErrno(handle)));
          }
          if (signature.returns === 'none') return undefined;
          if (C_RETURN[signature.returns] !== 'void *') return Number(result);
          return take(result, signature.returns, Number(size[0]));
        },
        version() {
          const pointer: unknown = library.func('void *guestfs_version(void *)')(handle);
          const part = (index: number) => String(koffi.decode(pointer, index * 8, 'int64_t'));
          const text = `${part(0)}.${part(1)}.${part(2)}`;
          free(pointer);
          return text;
        },
        close: () => library.func('void guestfs_close(void *)')(handle),
      };
    },
  };
}

/** Returns true for the API's error values: -1 for numbers, NULL for pointers. */
function isErrorValue(kind: ReturnKind, result: unknown): boolean {
  if (C_RETURN[kind] === 'void *') return result === null || result === 0n;
  return Number(result) === -1;
}

function toC(kind: ArgumentKind, value: unknown): unknown[] {
  if (kind === 'boolean') return [value ? 1 : 0];
  if (kind === 'strings' && Array.isArray(value)) return [[...value, null]];
  if (kind === 'buffer' && value instanceof Uint8Array) return [value, value.length];
  return [value];
}

/** Returns variadic optional arguments: index, value, … , -1. */
function optionsToC(signature: Signature, given: unknown): unknown[] {
  const values: unknown[] = [];
  for (const [option, value] of Object.entries(given ?? {})) {
    const declared = signature.options?.[option];
    if (declared === undefined || value === undefined) continue;
    const [index, kind] = declared;
    values.push('int', index, C_ARGUMENT[kind][0], ...toC(kind, value));
  }
  return [...values, 'int', -1];
}

function decode(pointer: unknown, kind: ReturnKind, size: number): unknown {
  if (kind === 'string') return koffi.decode(pointer, 'char', -1);
  if (kind === 'buffer') return Buffer.from(new Uint8Array(koffi.view(pointer, size)));
  if (kind === 'strings') return decodeStrings(pointer);
  if (kind === 'hash') {
    const list = decodeStrings(pointer);
    const hash: Record<string, string> = {};
    for (let index = 0; index + 1 < list.length; index += 2) hash[list[index]!] = list[index + 1]!;
    return hash;
  }
  const int64 = (index: number) => Number(koffi.decode(pointer, index * 8, 'int64_t'));
  if (kind === 'stat') {
    return {
      device: int64(0),
      inode: int64(1),
      mode: int64(2),
      uid: int64(4),
      gid: int64(5),
      size: int64(7),
    };
  }
  if (kind === 'statvfs') return { bsize: int64(0), blocks: int64(2), bfree: int64(3) };
  return kind === 'entries' ? decodeEntries(pointer) : decodeSubvolumes(pointer);
}

function decodeStrings(pointer: unknown): string[] {
  const list: string[] = [];
  for (let index = 0; ; index++) {
    const item: unknown = koffi.decode(pointer, index * POINTER_BYTES, 'char *');
    if (item === null || item === undefined) return list;
    list.push(String(item));
  }
}

/**
 * Decodes `struct guestfs_btrfssubvolume_list {uint32 len; struct {uint64 id, top_level_id; char *path}
 * *val}`.
 */
function decodeSubvolumes(pointer: unknown): unknown[] {
  const count = Number(koffi.decode(pointer, 'uint32_t'));
  const values: unknown = koffi.decode(pointer, 8, 'void *');
  return Array.from({ length: count }, (_, index) => ({
    id: Number(koffi.decode(values, index * 24, 'uint64_t')),
    parent: Number(koffi.decode(values, index * 24 + 8, 'uint64_t')),
    path: String(koffi.decode(values, index * 24 + 16, 'char *')),
  }));
}

/** Decodes `struct guestfs_dirent_list {uint32 len; struct {int64 ino; char ftyp; char *name} *val}`. */
function decodeEntries(pointer: unknown): unknown[] {
  const count = Number(koffi.decode(pointer, 'uint32_t'));
  if (count > MAX_ENTRIES) throw new GuestfsError(`a directory has ${count} names`, EFBIG);
  const values: unknown = koffi.decode(pointer, 8, 'void *');
  return Array.from({ length: count }, (_, index) => ({
    type: String.fromCharCode(Number(koffi.decode(values, index * 24 + 8, 'uint8_t'))),
    name: String(koffi.decode(values, index * 24 + 16, 'char *')),
  }));
}

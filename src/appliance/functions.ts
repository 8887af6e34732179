/**
 * The part of libguestfs's C API that the product calls, one line for each function: arguments in the API's
 * order, the return type, and optional arguments with their C index (`GUESTFS_<NAME>_<OPTION>` in guestfs.h).
 * The child process builds its bindings from this table, and the types below check the calls. Source:
 * guestfs(3), libguestfs 1.48.
 */
export const guestfsApi = {
  blkid: { args: ['string'], returns: 'hash' },
  blockdev_getsize64: { args: ['string'], returns: 'int64' },
  btrfs_subvolume_list: { args: ['string'], returns: 'subvolumes' },
  chmod: { args: ['int', 'string'], returns: 'none' },
  command: { args: ['strings'], returns: 'string' },
  cp: { args: ['string', 'string'], returns: 'none' },
  debug: { args: ['string', 'strings'], returns: 'string' },
  find0: { args: ['string', 'string'], returns: 'none' },
  fstrim: { args: ['string'], returns: 'none', variadic: true },
  get_e2attrs: { args: ['string'], returns: 'string' },
  hivex_close: { args: [], returns: 'none' },
  hivex_commit: { args: ['string'], returns: 'none' },
  hivex_node_add_child: { args: ['int64', 'string'], returns: 'int64' },
  hivex_node_delete_child: { args: ['int64'], returns: 'none' },
  hivex_node_get_child: { args: ['int64', 'string'], returns: 'int64' },
  hivex_node_set_value: { args: ['int64', 'string', 'int64', 'buffer'], returns: 'none' },
  hivex_open: { args: ['string'], returns: 'none', options: { write: [2, 'boolean'] } },
  hivex_root: { args: [], returns: 'int64' },
  lgetxattr: { args: ['string', 'string'], returns: 'buffer' },
  list_devices: { args: [], returns: 'strings' },
  list_md_devices: { args: [], returns: 'strings' },
  list_partitions: { args: [], returns: 'strings' },
  ln_sf: { args: ['string', 'string'], returns: 'none' },
  ls: { args: ['string'], returns: 'strings' },
  lsetxattr: { args: ['string', 'buffer', 'string'], returns: 'none' },
  lstatns: { args: ['string'], returns: 'stat' },
  lvs: { args: [], returns: 'strings' },
  md_detail: { args: ['string'], returns: 'hash' },
  mkdir_p: { args: ['string'], returns: 'none' },
  mount_options: { args: ['string', 'string', 'string'], returns: 'none' },
  ntfsfix: { args: ['string'], returns: 'none', variadic: true },
  pread: { args: ['string', 'int', 'int64'], returns: 'buffer' },
  pwrite: { args: ['string', 'buffer', 'int64'], returns: 'int' },
  readdir: { args: ['string'], returns: 'entries' },
  readlink: { args: ['string'], returns: 'string' },
  rm_f: { args: ['string'], returns: 'none' },
  set_e2attrs: { args: ['string', 'string'], returns: 'none', options: { clear: [0, 'boolean'] } },
  statns: { args: ['string'], returns: 'stat' },
  statvfs: { args: ['string'], returns: 'statvfs' },
  sync: { args: [], returns: 'none' },
  tar_out_opts: {
    args: ['string', 'string'],
    returns: 'none',
    options: { numericowner: [1, 'boolean'], excludes: [2, 'strings'] },
  },
  umount_all: { args: [], returns: 'none' },
  upload: { args: ['string', 'string'], returns: 'none' },
  upload_offset: { args: ['string', 'string', 'int64'], returns: 'none' },
  vg_activate_all: { args: ['boolean'], returns: 'none' },
  write: { args: ['string', 'buffer'], returns: 'none' },
} as const satisfies Record<string, Signature>;

export type ArgumentKind = 'string' | 'int' | 'int64' | 'boolean' | 'strings' | 'buffer';
export type ReturnKind =
  | 'none'
  | 'string'
  | 'strings'
  | 'hash'
  | 'int'
  | 'int64'
  | 'buffer'
  | 'stat'
  | 'statvfs'
  | 'subvolumes'
  | 'entries';

export interface Signature {
  args: readonly ArgumentKind[];
  returns: ReturnKind;
  /** Name: C index and kind. A function with optional arguments is variadic in C. */
  options?: Record<string, readonly [number, ArgumentKind]>;
  /** Variadic in C although none of its options is used here. */
  variadic?: true;
}

/** The fields of `struct guestfs_statns` that are used. */
interface GuestfsStat {
  mode: number;
  uid: number;
  gid: number;
  size: number;
  device: number;
  inode: number;
}
/** `struct guestfs_statvfs`: block size and counts in blocks. */
interface GuestfsStatvfs {
  bsize: number;
  blocks: number;
  bfree: number;
}
interface Subvolume {
  id: number;
  parent: number;
  path: string;
}

/** `struct guestfs_dirent`: `type` is `d`, `r` (file), `l`, …, `u` if the filesystem does not tell. */
interface DirectoryEntry {
  type: string;
  name: string;
}

interface Arguments {
  string: string;
  int: number;
  int64: number;
  boolean: boolean;
  strings: readonly string[];
  buffer: Buffer;
}
interface Returns {
  none: undefined;
  string: string;
  strings: string[];
  hash: Record<string, string>;
  int: number;
  int64: number;
  buffer: Buffer;
  stat: GuestfsStat;
  statvfs: GuestfsStatvfs;
  subvolumes: Subvolume[];
  entries: DirectoryEntry[];
}

type GuestfsApi = typeof guestfsApi;
export type GuestfsName = keyof GuestfsApi;
type Positional<A extends readonly ArgumentKind[]> = { -readonly [I in keyof A]: Arguments[A[I]] };
type Optional<S> = S extends { options: infer O extends Record<string, readonly [number, ArgumentKind]> }
  ? [options?: { [K in keyof O]?: Arguments[O[K][1]] }]
  : [];
export type GuestfsArguments<N extends GuestfsName> = [
  ...Positional<GuestfsApi[N]['args']>,
  ...Optional<GuestfsApi[N]>,
];
export type GuestfsResult<N extends GuestfsName> = Returns[GuestfsApi[N]['returns']];

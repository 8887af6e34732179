/**
 * Where FIX's operations are executed. Paths are absolute in the guest. The appliance is the one implementation so far; a live one over SSH has the
 * same face.
 */
export interface GuestWriter {
  read(path: string): Promise<Buffer>;
  /** Rewrites an existing file (also where `chattr +i` forbids it, as all that follow): same inode, owner, mode, extended attributes. */
  rewrite(path: string, content: Buffer): Promise<void>;
  /** A new file, root:root, with parent directories and the SELinux label of its neighbours. Fails with `fix.unexpected-file` where anything is there. */
  create(path: string, content: Buffer, mode: number): Promise<void>;
  remove(path: string): Promise<void>;
  symlink(path: string, target: string): Promise<void>;
  copy(from: string, path: string): Promise<void>;
  size(path: string): Promise<number>;
  /** Writes `bytes` at `offset`, the file's old end. */
  append(path: string, bytes: Buffer, offset: number): Promise<void>;
  readAt(path: string, offset: number, length: number): Promise<Buffer>;
  exists(path: string): Promise<boolean>;
  /** Runs a program of the guest; its stdout. Fails with its stderr when it does not end with 0. */
  run(command: readonly string[]): Promise<string>;
}

import type { GuestReader } from './guest-reader.js';

/**
 * A guest whose files can be changed: FIX's operations speak to this alone. What exists is changed in place,
 * with the same inode, owner, mode, extended attributes and SELinux label, also where `chattr +i` forbids it.
 */
export interface GuestWriter extends GuestReader {
  /** Gives an existing file this content. */
  rewrite(path: string, content: Buffer): Promise<void>;
  /**
   * Makes a new file, root:root, with its parent directories and, under SELinux, the label of its neighbours.
   * Rejects with `fix.unexpected-file` where anything is there.
   */
  create(path: string, content: Buffer, mode: number): Promise<void>;
  remove(path: string): Promise<void>;
  symlink(path: string, target: string): Promise<void>;
  /** Copies one file's content, owner of the copy is root. */
  copy(from: string, path: string): Promise<void>;
  /** Writes `bytes` at `offset`, the file's old end. */
  append(path: string, bytes: Buffer, offset: number): Promise<void>;
  /** Sets an extended attribute, of a link itself where the path ends with one. */
  setXattr(path: string, name: string, value: Buffer): Promise<void>;
  /** Runs a program of the guest as root; its stdout. Rejects with its stderr when it does not end with 0. */
  run(command: readonly string[]): Promise<string>;
  /** Returns when all that was written is on the guest's disks. */
  sync(): Promise<void>;
}

import type { HiveEdit } from '../guest/registry/captured.js';
import type { GuestReader } from './guest-reader.js';

/**
 * A guest whose files can be changed; FIX's operations use nothing else. Existing files are changed in place,
 * keeping inode, owner, mode, extended attributes and SELinux label, even if `chattr +i` forbids it.
 */
export interface GuestWriter extends GuestReader {
  /** Replaces the content of an existing file. */
  rewrite(path: string, content: Buffer): Promise<void>;
  /**
   * Creates a file, root:root, with its parent directories and, under SELinux, the label of its neighbours.
   * Rejects with `fix.unexpected-file` if anything is there.
   */
  create(path: string, content: Buffer, mode: number): Promise<void>;
  remove(path: string): Promise<void>;
  symlink(path: string, target: string): Promise<void>;
  /** Copies one file's content; the copy belongs to root. */
  copy(from: string, path: string): Promise<void>;
  /** Writes `bytes` at `offset`, the file's old end. */
  append(path: string, bytes: Buffer, offset: number): Promise<void>;
  /**
   * Changes a registry hive in place, with what its logs add. Rejects with `guest.hive-*` for a hive that is
   * damaged or cannot be completed.
   */
  editHive(path: string, edits: readonly HiveEdit[]): Promise<void>;
  /** Sets an extended attribute, of a link itself if the path ends with one. */
  setXattr(path: string, name: string, value: Buffer): Promise<void>;
  /** Returns an extended attribute, of a link itself if the path ends with one. */
  getXattr(path: string, name: string): Promise<Buffer>;
  /**
   * Runs a program of the guest as root and returns its stdout. Rejects with its stderr if it does not exit
   * with 0.
   */
  run(command: readonly string[]): Promise<string>;
  /** Returns when everything that was written is on the guest's disks. */
  sync(): Promise<void>;
}

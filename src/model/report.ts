/** One file of the drop: `path` relative to the source directory, `size` in bytes. */
export interface SourceFile {
  path: string;
  size: number;
  sha256: string;
}

export interface Versions {
  hyper2kvm: string;
  /** Null where the host's part could not be asked. */
  qemu: string | null;
  libguestfs: string | null;
}

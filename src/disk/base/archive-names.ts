/** True for the names of archives that hold a VM: an OVA, Vagrant's box, and a tar such as Google Cloud exports. */
export function isArchive(name: string): boolean {
  return isOva(name) || /\.(?:tar|box)$/i.test(name);
}

/** An OVA is a VM by its name. Another archive may be anything, and counts only where there is no disk. */
export function isOva(name: string): boolean {
  return /\.ova$/i.test(name);
}

/**
 * True for the names of archives that hold a VM: an OVA, Proxmox' VMA, XenServer's XVA, Vagrant's box, a tar such
 * as Google Cloud exports, and a ZIP archive of a VM's files.
 */
export function isArchive(name: string): boolean {
  return isVmArchive(name) || /\.(?:tar|box|zip)$/i.test(name);
}

/** An OVA, VMA or XVA is a VM by its name. Another archive may be anything, and counts only where there is no disk. */
export function isVmArchive(name: string): boolean {
  return isVma(name) || /\.(?:ova|xva)$/i.test(name);
}

export function isVma(name: string): boolean {
  return /\.vma$/i.test(name);
}

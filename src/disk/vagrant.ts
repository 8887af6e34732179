import { z } from 'zod';
import type { Description } from '../model/description.js';

const MAX_DISKS = 64;
/** A box of one disk has its format only, one of several lists them (vagrant-libvirt, "Box Format"). */
const metadataSchema = z.object({
  provider: z.literal('libvirt'),
  format: z.enum(['qcow2', 'raw']).default('qcow2'),
  disks: z
    .array(z.object({ path: z.string().min(1), format: z.enum(['qcow2', 'raw']).optional() }))
    .min(1)
    .max(MAX_DISKS)
    .default([{ path: 'box.img' }]),
});

/**
 * Reads the metadata.json of a Vagrant box for libvirt, whose disks end in .img whatever their format is. Returns
 * null for all else that is named so: boxes for other providers have an .ovf, a .vmx or plainly named disks.
 */
export function parseVagrant(bytes: Buffer): Description | null {
  const metadata = metadataSchema.safeParse(jsonIn(bytes));
  if (!metadata.success) return null;
  const { disks, format } = metadata.data;
  return {
    hardware: { name: null, memory_mib: null, vcpus: null, firmware: null, nics: [], os_hint: null },
    disks: disks.map((disk) => ({
      controller: null,
      file: disk.path,
      capacity: null,
      format: disk.format ?? format,
    })),
    files: disks.map(({ path }) => path),
    warnings: [],
  };
}

function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // Not JSON, so not a box's.
    return null;
  }
}

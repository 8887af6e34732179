import type { Config } from '../../config/schema.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { ConvertRequest } from '../../tools/qemu-img.js';

type Options = Config['convert'];
export type Target = Pick<ConvertRequest, 'targetFormat' | 'compress' | 'settings' | 'sparse'>;

/**
 * Translates the options for qemu-img (its `-o` settings are in qemu-img(1) and `qemu-img create -f FORMAT -o
 * help`). Pure. Throws `convert.unsupported-option` for an option that the format cannot fulfil, instead of
 * ignoring it; only `compression`, which may be set for all VMs, applies where it can.
 */
export function convertTarget(options: Options): Target {
  const sparse = options.sparse ? {} : { sparse: false };
  const target = { targetFormat: options.format, ...sparse };
  const settings = SETTINGS[options.format](options);
  return { ...target, ...settings };
}

const SETTINGS: Record<Options['format'], (options: Options) => Pick<Target, 'compress' | 'settings'>> = {
  qcow2({ compression, preallocation, cluster_size_kib }) {
    const settings: Record<string, string> = { cluster_size: String(cluster_size_kib * 1024) };
    if (preallocation !== 'off') settings.preallocation = preallocation;
    if (compression === 'none') return { settings };
    if (preallocation !== 'off')
      throw unsupported('compressed clusters cannot be preallocated', 'convert.compression', 'none');
    return { compress: true, settings: { ...settings, compression_type: compression } };
  },
  raw({ preallocation }) {
    if (preallocation === 'metadata')
      throw unsupported('a raw disk has no metadata to preallocate', 'convert.preallocation', 'falloc');
    return preallocation === 'off' ? {} : { settings: { preallocation } };
  },
  vdi({ preallocation }) {
    if (preallocation === 'off') return {};
    if (preallocation === 'metadata') return { settings: { static: 'on' } };
    throw unsupported('QEMU cannot create a VDI with preallocated data', 'convert.preallocation', 'metadata');
  },
  vmdk({ compression, preallocation }) {
    if (preallocation !== 'off')
      throw unsupported('QEMU cannot create a preallocated VMDK in one file', 'convert.preallocation', 'off');
    if (compression === 'zstd')
      throw unsupported('a VMDK can only be compressed with zlib', 'convert.compression', 'zlib');
    // The form that OVAs contain; ESXi imports it, but does not run a VM from it.
    if (compression === 'zlib') return { compress: true, settings: { subformat: 'streamOptimized' } };
    return { settings: { subformat: 'monolithicSparse' } };
  },
};

function unsupported(why: string, key: string, instead: string): Hyper2kvmError {
  return new Hyper2kvmError('convert.unsupported-option', `${why} (${key})`, {
    advice: `Set ${key} = "${instead}", or another convert.format.`,
  });
}

import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { asRoot } from './privileged.ts';

/** As long as the version that it stands for: every copy of it is replaced in place. */
const OLD = '3.16.0';
/** Offsets in a bzImage, see the kernel's Documentation/x86/boot.rst. */
const SETUP_SECTORS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;
/** Behind the compressed kernel stands its size uncompressed, in four bytes. */
const SIZE_BYTES = 4;
/** At most, unpacked. */
const KERNEL_BYTES = 256 * 1024 ** 2;

/**
 * Makes the guest's kernel one from before virtio 1.0 (Linux 4.0), as far as anything can tell: it calls
 * itself 3.16, inside of its image too, its modules are of that version, and its virtio_pci finds transitional
 * devices only. Kernels as old as that cannot be had from Debian's mirror any more. Returns the new version.
 */
export async function makeOldKernel(root: string, version: string): Promise<string> {
  const [release = ''] = version.split('-');
  if (release.length !== OLD.length) throw new Error(`${version} is not as long as ${OLD}`);
  const old = version.replace(release, OLD);
  for (const name of await readdir(join(root, 'boot')))
    if (name.endsWith(`-${version}`))
      await rename(join(root, 'boot', name), join(root, 'boot', name.replace(version, old)));
  const modules = join(root, 'lib/modules');
  await rename(join(modules, version), join(modules, old));
  const image = join(root, 'boot', `vmlinuz-${old}`);
  await writeFile(image, await renamed(await readFile(image), version, old));
  await makeLegacyOnly(join(modules, old, 'kernel/drivers/virtio/virtio_pci.ko'));
  await asRoot('chroot', [root, '/sbin/depmod', old]);
  return old;
}

/** The image with another version inside: in its header, and in the compressed kernel, which stays as long. */
async function renamed(image: Buffer, from: string, to: string): Promise<Buffer> {
  const start = (image.readUInt8(SETUP_SECTORS) + 1) * SECTOR + image.readUInt32LE(PAYLOAD_OFFSET);
  const length = image.readUInt32LE(PAYLOAD_LENGTH) - SIZE_BYTES;
  const packed = image.subarray(start, start + length);
  const { stdout: kernel } = await run('xz', ['-dc'], { input: packed, maxOutputBytes: KERNEL_BYTES });
  replaceAll(kernel, from, to);
  // As the kernel's own xz_wrap.sh packs; a little harder, for it must fit.
  const pack = ['-c', '--check=crc32', '--x86', '--lzma2=preset=9e,dict=64MiB'];
  const { stdout: again } = await run('xz', pack, { input: kernel, maxOutputBytes: KERNEL_BYTES });
  if (again.length > length) throw new Error(`the kernel grew by ${again.length - length} bytes`);
  const changed = Buffer.from(image);
  replaceAll(changed.subarray(0, start), from, to);
  changed.fill(0, start, start + length);
  again.copy(changed, start);
  return changed;
}

function replaceAll(bytes: Buffer, from: string, to: string): void {
  for (let at = bytes.indexOf(from); at !== -1; at = bytes.indexOf(from, at + to.length))
    bytes.write(to, at, 'latin1');
}

/** `mov $-ENODEV, %eax; ret` */
const NO_DEVICE = Buffer.from([0xb8, 0xed, 0xff, 0xff, 0xff, 0xc3]);
/** The call that ftrace makes nothing of; it has a relocation. */
const TRACE_BYTES = 5;

/** virtio_pci without its half for virtio 1.0: the function that looks for such a device finds none. */
async function makeLegacyOnly(module: string): Promise<void> {
  // What is appended behind the sections is a signature, which would be wrong now.
  await run('strip', ['--strip-debug', module]);
  const bytes = await readFile(module);
  const { section, offset } = await symbol(module, 'virtio_pci_modern_probe');
  const at = (await sectionOffset(module, section)) + offset + TRACE_BYTES;
  NO_DEVICE.copy(bytes, at);
  await writeFile(module, bytes);
}

async function symbol(module: string, name: string): Promise<{ section: number; offset: number }> {
  const { stdout } = await run('readelf', ['--wide', '--syms', module]);
  const line = stdout
    .toString('latin1')
    .split('\n')
    .find((text) => text.trim().endsWith(` ${name}`));
  const [, value, , , , , section] = line?.trim().split(/\s+/) ?? [];
  if (value === undefined || !/^\d+$/.test(section ?? '')) throw new Error(`${module} has no ${name}`);
  return { section: Number(section), offset: Number.parseInt(value, 16) };
}

async function sectionOffset(module: string, section: number): Promise<number> {
  const { stdout } = await run('readelf', ['--wide', '--section-headers', module]);
  const line = stdout
    .toString('latin1')
    .split('\n')
    .find((text) => text.startsWith(`  [${String(section).padStart(2)}]`));
  const offset = line
    ?.slice(line.indexOf(']') + 1)
    .trim()
    .split(/\s+/)[3];
  if (offset === undefined) throw new Error(`${module} has no section ${section}`);
  return Number.parseInt(offset, 16);
}

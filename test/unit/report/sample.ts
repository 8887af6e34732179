import { type JobOptions, jobOptionsSchema } from '../../../src/config/schema.js';
import type { Boot } from '../../../src/model/boot.js';
import type { LinuxIdentity } from '../../../src/model/identity.js';
import { STAGE_NAMES } from '../../../src/model/stage-names.js';
import type { StageRecord } from '../../../src/model/stage-record.js';
import type { Plan } from '../../../src/operations/plan.js';
import type { ConvertOutput } from '../../../src/stages/convert/output.js';
import type { FetchOutput } from '../../../src/stages/fetch/output.js';

/** A job as the stages' contracts describe it: a Debian guest from VMware, converted and booted. */
export const STARTED = '2026-05-04T10:11:12.000Z';
export const FINISHED = '2026-05-04T10:14:37.500Z';

export function sampleOptions(
  changes: { kind?: JobOptions['kind']; vm?: JobOptions['vm'] } = {},
): JobOptions {
  return jobOptionsSchema.parse({ config: {}, ...changes });
}

const SECONDS: Record<string, number> = {
  fetch: 0.1,
  flatten: 0.3,
  inspect: 52.4,
  plan: 0.2,
  fix: 21.8,
  convert: 6.1,
  validate: 118.6,
};

export function sampleRecords(): StageRecord[] {
  let at = Date.parse(STARTED) + 400;
  return STAGE_NAMES.map((stage) => {
    const seconds = SECONDS[stage]!;
    const started = at;
    at += seconds * 1000 + 150;
    return {
      stage,
      status: 'completed',
      seconds,
      attempts: 1,
      bytes_read: stage === 'convert' ? 702_545_920 : 0,
      appliance_launches: stage === 'inspect' ? 1 : 0,
      bytes_written: stage === 'convert' ? 731_906_048 : stage === 'fix' ? 2_949_120 : 0,
      error: null,
      started_at: new Date(started).toISOString(),
      finished_at: new Date(started + seconds * 1000).toISOString(),
    };
  });
}

export const sampleFetch: FetchOutput = {
  files: [{ path: 'web01.vmdk', size: 731_906_048 }],
  disks: [
    {
      index: 0,
      controller: 'scsi0:0',
      chain: {
        layers: [
          {
            name: 'web01.vmdk',
            format: 'vmdk',
            virtual_size: 8 * 1024 ** 3,
            content_id: '12345678',
            bytes: { type: 'file', place: 'drop', path: 'web01.vmdk' },
            footer: false,
            extents: [],
            allocated: 731_906_048,
            used_bytes: 731_906_048,
          },
        ],
      },
    },
  ],
  passed_over: [],
  warnings: [],
  hardware: {
    name: 'Web <01> & "friends"',
    memory_mib: 4096,
    vcpus: 4,
    firmware: 'bios',
    nics: [{ mac: '00:50:56:9A:BC:DE', network: 'VM Network', model: 'vmxnet3' }],
    os_hint: 'debian12-64',
  },
};

const sampleIdentity: LinuxIdentity = {
  os_type: 'linux',
  os_distro: 'debian',
  os_version: '12',
  os_name: 'Debian GNU/Linux 12 (bookworm)',
  firmware: 'bios',
  bootloader: 'grub2',
  init_system: 'systemd',
  network_manager: ['ifupdown'],
  architecture: 'x86_64',
  hostname: 'web01',
  unified_images: [],
  kernels: [
    {
      version: '6.1.0-32-amd64',
      image: '/boot/vmlinuz-6.1.0-32-amd64',
      modules: '/lib/modules/6.1.0-32-amd64',
      initramfs: {
        path: '/boot/initrd.img-6.1.0-32-amd64',
        size: 9_123_456,
        segments: [{ compression: 'zstd', offset: 0, size: 9_123_456, entries: 812 }],
        modules: ['vmw_pvscsi', 'mptspi', 'ext4'],
        lib: 'usr/lib',
        unreadable: null,
      },
    },
  ],
  initramfs_tool: 'initramfs-tools',
  package_manager: 'apt',
  partitions: [
    {
      disk: 0,
      scheme: 'mbr',
      partitions: [
        {
          number: 1,
          start: 1_048_576,
          size: 268_435_456,
          type: '83',
          bootable: true,
          partuuid: '8e3f1c2d-01',
        },
        {
          number: 2,
          start: 269_484_032,
          size: 3_221_225_472,
          type: '83',
          bootable: false,
          partuuid: '8e3f1c2d-02',
        },
      ],
    },
  ],
  filesystems: [
    {
      device: '/dev/sda1',
      type: 'ext4',
      uuid: '5f1c1b0e-53a0-4b5a-9b87-0d2f0d8a9c01',
      label: 'boot',
      size: 268_435_456,
      disk: 0,
      partition: 1,
      partuuid: '8e3f1c2d-01',
      partlabel: null,
      parttype: '0x83',
      mountpoint: '/boot',
    },
    {
      device: '/dev/sda2',
      type: 'ext4',
      uuid: '0b9a7d52-2f0e-4f3c-8a55-6f9f1f1f0002',
      label: null,
      size: 3_221_225_472,
      disk: 0,
      partition: 2,
      partuuid: '8e3f1c2d-02',
      partlabel: null,
      parttype: '0x83',
      mountpoint: '/',
    },
  ],
  root: '/dev/sda2',
  mounts: [
    { device: '/dev/sda2', mountpoint: '/', options: 'errors=remount-ro' },
    { device: '/dev/sda1', mountpoint: '/boot', options: 'defaults' },
  ],
  encrypted: false,
  qemu_guest_agent: false,
  vmware_tools: 'open-vm-tools',
  selinux: false,
};

export const samplePlan: Plan = {
  version: 1,
  operations: [
    {
      op: 'write_file',
      fixer: 'fstab',
      reason:
        'by-path names carry VMware’s PCI topology, which KVM does not have; UUIDs stay the same on any bus.',
      path: '/etc/fstab',
      before:
        '# <file system> <mount point> <type> <options> <dump> <pass>\n/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2\t/\text4\terrors=remount-ro\t0\t1\n/dev/sda1\t/boot\text4\tdefaults\t0\t2\ntmpfs /tmp tmpfs defaults 0 0\n',
      after:
        '# <file system> <mount point> <type> <options> <dump> <pass>\nUUID=0b9a7d52-2f0e-4f3c-8a55-6f9f1f1f0002\t/\text4\terrors=remount-ro\t0\t1\nUUID=5f1c1b0e-53a0-4b5a-9b87-0d2f0d8a9c01\t/boot\text4\tdefaults\t0\t2\ntmpfs /tmp tmpfs defaults 0 0\n',
      encoding: 'utf8',
      mode: 0o644,
    },
    {
      op: 'append_initramfs',
      fixer: 'initramfs',
      reason: 'The initramfs has VMware’s drivers only; the root disk is on virtio-blk.',
      path: '/boot/initrd.img-6.1.0-32-amd64',
      kernel: '6.1.0-32-amd64',
      lib: 'usr/lib',
      files: ['/lib/modules/6.1.0-32-amd64/kernel/drivers/block/virtio_blk.ko'],
      modules: ['virtio_blk', 'virtio_pci', 'virtio_net'],
    },
    {
      op: 'symlink',
      fixer: 'vmware',
      reason: 'VMware’s services have nothing to talk to on KVM.',
      path: '/etc/systemd/system/open-vm-tools.service',
      target: '/dev/null',
    },
  ],
  warnings: [
    { fixer: 'agent', code: 'agent.missing', message: 'qemu-guest-agent is not installed in the guest.' },
  ],
  devices: { disk_bus: 'virtio', nic_model: 'virtio' },
  nics: [],
};

export const sampleConvert: ConvertOutput = {
  disks: [
    {
      index: 0,
      file: 'out/web01-disk0.qcow2',
      format: 'qcow2',
      virtual_size: 4_294_967_296,
      allocated: 731_906_048,
      sha256: 'a'.repeat(64),
    },
  ],
};

export const sampleBoot: Boot = {
  verdict: 'booted',
  warnings: [],
  level: 'login',
  seconds: 58.2,
  accelerator: 'tcg',
  firmware: 'bios',
  command_line: ['qemu-system-x86_64', '-machine', 'q35', '-device', 'virtio-blk-pci,drive=disk0', "it's"],
  failure: null,
  evidence: [
    {
      level: 'firmware',
      at_seconds: 0.9,
      source: 'debugcon',
      text: 'SeaBIOS (version 1.16.2-debian-1.16.2-1)',
    },
    { level: 'bootloader', at_seconds: 3.1, source: 'screen', text: 'GRUB loading.' },
    { level: 'kernel', at_seconds: 9.4, source: 'serial', text: 'Linux version 6.1.0-32-amd64' },
    {
      level: 'root',
      at_seconds: 27.0,
      source: 'serial',
      text: 'EXT4-fs (vda2): mounted filesystem with ordered data mode',
    },
    {
      level: 'userspace',
      at_seconds: 31.5,
      source: 'serial',
      text: 'Welcome to Debian GNU/Linux 12 (bookworm)!',
    },
    { level: 'login', at_seconds: 58.2, source: 'serial', text: 'web01 login:' },
  ],
  screens: [],
  guest: {
    addresses: ['ens192 10.0.2.15/24'],
    mounts: [
      { device: '/dev/vda2', mountpoint: '/', type: 'ext4' },
      { device: '/dev/vda1', mountpoint: '/boot', type: 'ext4' },
    ],
    missing_mounts: [],
    swaps: ['/dev/vda3'],
    failed_units: [],
  },
  evidence_changes: ['GRUB: console=ttyS0 added to the kernel command line'],
  attempts: 1,
};

export function sampleOutputs(): Record<string, unknown> {
  return {
    fetch: sampleFetch,
    flatten: { disks: [] },
    inspect: {
      identity: sampleIdentity,
      snapshot: 'snapshot.bin',
      snapshot_sha256: 'b'.repeat(64),
      initramfs_listings: 'initramfs.json',
    },
    plan: { plan: samplePlan, plan_file: 'plan.json', diff_file: 'plan.diff' },
    fix: {
      disks: [{ index: 0, image: 'fix-disk0.qcow2', format: 'qcow2', evidence: null }],
      proofs: [
        '/etc/fstab parses and names no unstable device',
        '/boot/initrd.img-6.1.0-32-amd64 lists virtio_blk',
      ],
      applied: 3,
      evidence_changes: [],
    },
    convert: sampleConvert,
    validate: { boot: sampleBoot, directory: 'boot' },
  };
}

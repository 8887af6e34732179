import { isIPv4 } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { BOOT_REQUIREMENTS } from '../model/boot.js';
import { STAGE_NAMES } from '../model/stage-names.js';
import { isVmName, VM_NAME_RULE } from '../model/vm-name.js';
import { remoteTable } from './remote-table.js';

/**
 * Every option, declared once: type, default and one line of documentation. The JSON schema, the table in
 * docs/configuration.md and the checks of `job.toml` come from here.
 *
 * Metadata: `reload: true` means that SIGHUP applies it at once; otherwise the daemon must be restarted.
 * `perJob: true`: an operator may set it for one VM by `retry --set`. `setBy: 'dropper'`: also allowed in a
 * job.toml. Because a job.toml is trusted as little as the disk beside it, options that name a path, a
 * program or a secret of the host, or that cost the host more than a conversion does, are reserved for
 * operators (the default). `formerly`: the key's name in an earlier version, which is still read, with a
 * warning.
 */
declare module 'zod' {
  interface GlobalMeta {
    reload?: boolean;
    perJob?: boolean;
    setBy?: 'operator' | 'dropper';
    bound?: DropperBound;
    formerly?: string;
  }
}

/** The limits of an option when a dropper sets it. */
export interface DropperBound {
  /** For the table in docs/configuration.md. */
  text: string;
  /**
   * The option that holds the largest number that a job.toml may request. The daemon's own value is always
   * allowed.
   */
  maxKey?: string;
  /**
   * Returns why a job.toml may not have this value, if it is allowed less than the configuration; null if it
   * may.
   */
  refusal?(value: unknown): string | null;
}

const absolutePath = z.string().refine(isAbsolute, 'must be an absolute path');

const NOTIFY_EVENTS = ['converted', 'failed', 'paused', 'resumed'] as const;
export type NotifyEventName = (typeof NOTIFY_EVENTS)[number];

/** The fields of every receiver of notifications. */
const notifyTarget = {
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
      'must be at most 63 letters, digits, dots, dashes and underscores',
    ),
  events: z
    .array(z.enum(NOTIFY_EVENTS))
    .min(1)
    .default([...NOTIFY_EVENTS]),
  timeout_seconds: z.int().min(1).max(600).default(10),
};
const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine((text) => !/^https?:\/\/[^/?#]*@/i.test(text), 'must not contain a user or password');

function isLoopback(listen: string): boolean {
  const [, address = '', port] = /^(\[::1\]|127[\d.]+):(\d{1,5})$/.exec(listen) ?? [];
  return (address === '[::1]' || isIPv4(address)) && Number(port) >= 1 && Number(port) <= 65_535;
}

const live = { reload: true, setBy: 'operator' } as const;
/** For one VM, and harmless to others. */
const job = { reload: true, perJob: true, setBy: 'dropper' } as const;
const atMost = (maxKey: string) => ({ ...job, bound: { text: `at most ${maxKey}`, maxKey } });

const MAX_KEYS = 16;
const luksKey = z.strictObject({
  device: z.string().min(1).max(1024),
  key_file: z.string().min(1).max(1024),
});

function refusedKeys(value: unknown): string | null {
  const keys = z.array(luksKey).parse(value);
  if (keys.length > MAX_KEYS) return `a job.toml may name at most ${MAX_KEYS} keys`;
  const leadsOut = (path: string) =>
    isAbsolute(path) || path.split('/').includes('..') || path.includes('\0');
  return keys.some(({ key_file }) => leadsOut(key_file))
    ? 'a job.toml may only name key files of its own drop, without a leading / and without ..'
    : null;
}

export const configSchema = z
  .strictObject({
    spool: z
      .strictObject({
        incoming: z
          .string()
          .default('/var/spool/hyper2kvm/incoming')
          .meta({ description: 'Where users drop disks.' }),
        work: z.string().default('/var/spool/hyper2kvm/work').meta({
          description: 'Claimed drops and scratch. Best on the same filesystem as incoming and archive.',
        }),
        archive: z.string().default('/var/spool/hyper2kvm/archive').meta({ description: 'Finished VMs.' }),
        failed: z
          .string()
          .default('/var/spool/hyper2kvm/failed')
          .meta({ description: 'Failed VMs with their source and reason.' }),
      })
      .prefault({}),
    state: z
      .strictObject({
        database: z
          .string()
          .default('/var/lib/hyper2kvm/queue.db')
          .meta({ description: 'The SQLite queue.' }),
      })
      .prefault({}),
    control: z
      .strictObject({
        socket: z
          .string()
          .default('/run/hyper2kvm/control.sock')
          .meta({ description: 'The unix socket on which commands reach the daemon.' }),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z
          .enum(['trace', 'debug', 'info', 'warn', 'error'])
          .default('info')
          .meta({ description: 'Least severe line that is written.', ...live }),
        format: z.enum(['auto', 'journal', 'json', 'terminal']).default('auto').meta({
          description:
            'journal puts the <N> priority before each JSON line; auto finds out whether stdout is the journal or a terminal.',
        }),
      })
      .prefault({}),
    watch: z
      .strictObject({
        settle_seconds: z
          .number()
          .min(0)
          .max(86_400)
          .default(10)
          .meta({
            description:
              'A drop is claimed once its size, mtime, ctime and inode have not changed for this long and its format is complete (seconds).',
            ...live,
          }),
        poll_seconds: z
          .number()
          .min(0.2)
          .max(3_600)
          .default(5)
          .meta({
            description: 'Interval of the periodic scan, which finds what inotify missed (seconds).',
            ...live,
          }),
        polling: z.boolean().default(false).meta({ description: 'Do not use inotify (for NFS, SMB, FUSE).' }),
      })
      .prefault({}),
    workers: z
      .strictObject({
        jobs: z.int().min(1).max(64).default(2).meta({ description: 'VMs in progress at once.' }),
        appliances: z
          .int()
          .min(1)
          .max(16)
          .default(1)
          .meta({ description: 'libguestfs appliances at once (about 1 GB of memory each).' }),
        conversions: z.int().min(1).max(16).default(1).meta({ description: 'VMs being converted at once.' }),
        disks: z
          .int()
          .min(1)
          .max(16)
          .default(2)
          .meta({ description: 'Disks of one VM that are checked, flattened or converted at once.' }),
        boots: z.int().min(1).max(16).default(1).meta({
          description: 'Boot tests at once (the memory of a VM each; without KVM one per two cores).',
        }),
      })
      .prefault({}),
    archive: z
      .strictObject({
        source: z
          .enum(['archive', 'delete', 'leave'])
          .default('archive')
          .meta({
            description:
              'The original drop after success: into the bundle, deleted once the bundle is complete, or left where it was (convert only; the daemon treats it as archive).',
            formerly: 'source.keep',
            ...job,
          }),
      })
      .prefault({}),
    fetch: z
      .strictObject({
        max_expansion: z
          .int()
          .min(10)
          .max(1_000_000)
          .default(1_100)
          .meta({
            description:
              'A compressed drop (.gz, .xz, .zst) that unpacks to more than 8 GiB and more than this many times its size is refused; data other than zeros may grow to a tenth of that.',
            ...live,
          }),
      })
      .prefault({}),
    remote: remoteTable,
    flatten: z
      .strictObject({
        mode: z
          .enum(['overlay', 'copy'])
          .default('overlay')
          .meta({
            description: 'overlay reads the source in place; copy makes a physical flat disk first.',
            ...job,
          }),
        max_virtual_size_gib: z
          .int()
          .min(1)
          .max(1_048_576)
          .default(65_536)
          .meta({ description: 'Disks with a larger virtual size are refused (GiB).', ...live }),
        max_chain_depth: z
          .int()
          .min(1)
          .max(256)
          .default(64)
          .meta({ description: 'Longer snapshot chains are refused (number of files).', ...live }),
      })
      .prefault({}),
    guest: z
      .strictObject({
        memory_mib: z
          .int()
          .min(512)
          .max(16_384)
          .default(1_024)
          .meta({ description: 'Memory of the libguestfs appliance (MiB).', ...live }),
        smp: z
          .int()
          .min(1)
          .max(16)
          .default(2)
          .meta({ description: 'Virtual CPUs of the appliance.', ...live }),
        timeout_seconds: z
          .int()
          .min(10)
          .max(7_200)
          .default(900)
          .meta({ description: 'Time limit of one appliance call (seconds).', ...live }),
        luks: z
          .array(luksKey)
          .default([])
          .meta({
            description:
              'Keys for encrypted disks, each {device, key_file}: the LUKS container by the guest’s name for it (/dev/sda3, UUID=…), and an absolute path or a file in the drop, of at most 64 KiB.',
            ...job,
            bound: { text: `files of the drop, at most ${MAX_KEYS}`, refusal: refusedKeys },
          }),
      })
      .prefault({}),
    fix: z
      .strictObject({
        mode: z
          .enum(['auto', 'none'])
          .default('auto')
          .meta({
            description:
              'none converts the VM as it is, whatever its system, on devices that such a system drives by itself, and boots it.',
            ...job,
          }),
        initramfs: z
          .enum(['append', 'rebuild'])
          .default('append')
          .meta({
            description:
              'append adds the missing drivers as one small cpio archive; rebuild runs the guest’s own tool.',
            ...job,
          }),
        network: z
          .enum(['keep', 'dhcp'])
          .default('keep')
          .meta({
            description: 'keep addresses and interface names; dhcp replaces the configuration.',
            ...job,
          }),
        vmware_tools: z
          .enum(['disable', 'remove', 'keep'])
          .default('disable')
          .meta({
            description:
              'VMware Tools: mask the units, remove the packages with the guest’s package manager, or leave.',
            ...job,
          }),
        guest_agent_packages: z
          .string()
          .default('')
          .meta({
            description:
              'Directory with packages of qemu-guest-agent and their dependencies, in one subdirectory for each system (debian-12, rhel-9, ubuntu-22.04), installed offline into guests without it. Empty: nothing is installed.',
            ...live,
          }),
        devices: z
          .enum(['auto', 'virtio', 'sata', 'ide'])
          .default('auto')
          .meta({
            description:
              'Devices of the new VM: auto chooses by the drivers of the guest’s kernels; sata comes with an e1000e network card, ide with an e1000.',
            ...job,
          }),
        kernel: z
          .string()
          .max(256)
          .default('')
          .meta({
            description:
              'Installed kernel that the boot loader’s default entry is to start instead of its own, by its version (6.1.0-32-amd64) or the path of its initramfs. Empty: keep the default.',
            ...job,
          }),
        nofail: z
          .array(z.string().min(1).max(4_096))
          .max(64)
          .default([])
          .meta({
            description:
              'Lines of fstab and crypttab, and mount and swap units, that get nofail, so that the guest starts without them: each by its mount point, its device as the line names it, its unit, or its name in crypttab. Never /, /usr, /var or /boot.',
            ...job,
          }),
        grub_search: z
          .array(z.string().min(1).max(256))
          .max(64)
          .default([])
          .meta({
            description:
              'What GRUB looks for in vain: UUIDs or labels of filesystems, for which its search finds the filesystem with the kernel instead; grub.cfg where GRUB finds no configuration, to which it is then led.',
            ...job,
          }),
        uefi_loader: z
          .enum(['keep', 'replace'])
          .default('keep')
          .meta({
            description:
              'replace overwrites an existing \\EFI\\BOOT\\BOOTX64.EFI with the distribution’s own boot loader; keep adds one only where it is missing.',
            ...job,
          }),
        interface_names: z
          .enum(['auto', 'mac'])
          .default('auto')
          .meta({
            description:
              'mac binds every configured network interface to a card’s MAC address by a udev rule too, also where only the order of the cards tells which one it is.',
            ...job,
          }),
        serial_console: z
          .boolean()
          .default(false)
          .meta({
            description: 'Give the delivered guest a serial console (console=ttyS0; ttyAMA0 on aarch64).',
            ...job,
          }),
      })
      .prefault({}),
    convert: z
      .strictObject({
        format: z
          .enum(['qcow2', 'raw', 'vdi', 'vmdk'])
          .default('qcow2')
          .meta({ description: 'Format of the delivered disks.', ...job }),
        compression: z
          .enum(['none', 'zlib', 'zstd'])
          .default('none')
          .meta({
            description: 'Compression of qcow2 clusters; zlib also makes a vmdk stream-optimized.',
            ...job,
          }),
        preallocation: z
          .enum(['off', 'metadata', 'falloc', 'full'])
          .default('off')
          .meta({
            description:
              'Space of the delivered disk: off grows with its data; metadata (qcow2, vdi); falloc and full (qcow2, raw) reserve all of it.',
            ...job,
            bound: {
              text: 'off, metadata, falloc',
              refusal: (value) =>
                value === 'full' ? 'full writes the whole disk’s size, so only an operator may set it' : null,
            },
          }),
        cluster_size_kib: z
          .literal([4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048])
          .default(64)
          .meta({ description: 'Cluster size of qcow2 (KiB).', ...job }),
        sparse: z
          .boolean()
          .default(true)
          .meta({ description: 'Leave out blocks of zeros; false writes them.', ...live, perJob: true }),
      })
      .prefault({}),
    validate: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .meta({ description: 'Boot the converted VM.', ...job }),
        required: z
          .boolean()
          .default(true)
          .meta({ description: 'Fail the job unless the boot succeeds.', ...job }),
        require: z
          .array(z.enum(BOOT_REQUIREMENTS))
          .default([])
          .meta({
            description:
              'What must come up in a booted VM; otherwise the job fails: "mounts" (all of fstab), "network" (the configured addresses), "units" (no failed unit). Without it these are warnings.',
            ...job,
          }),
        timeout_seconds: z
          .int()
          .min(10)
          .max(7_200)
          .default(600)
          .meta({
            description: 'Time limit of the boot test (seconds).',
            ...atMost('validate.max_timeout_seconds'),
          }),
        remedies: z
          .enum(['auto', 'none'])
          .default('auto')
          .meta({
            description:
              'auto: after a failed boot with a known remedy, PLAN to VALIDATE run again with other options, at most twice (docs/failures.md); none: the first boot counts.',
            ...job,
          }),
        accelerator: z
          .enum(['auto', 'kvm', 'tcg'])
          .default('auto')
          .meta({ description: 'auto uses KVM if a test guest really runs on it.', ...live }),
        memory_mib: z
          .int()
          .min(128)
          .max(65_536)
          .default(1_024)
          .meta({ description: 'Memory of the boot test (MiB).', ...atMost('validate.max_memory_mib') }),
        smp: z
          .int()
          .min(1)
          .max(32)
          .default(2)
          .meta({ description: 'Virtual CPUs of the boot test.', ...atMost('validate.max_smp') }),
        max_timeout_seconds: z
          .int()
          .min(10)
          .max(7_200)
          .default(1_800)
          .meta({ description: 'Highest `timeout_seconds` that a job.toml may set.', ...live }),
        max_memory_mib: z
          .int()
          .min(128)
          .max(65_536)
          .default(4_096)
          .meta({ description: 'Highest `memory_mib` that a job.toml may set.', ...live }),
        max_smp: z
          .int()
          .min(1)
          .max(32)
          .default(4)
          .meta({ description: 'Highest `smp` that a job.toml may set.', ...live }),
      })
      .prefault({}),
    retry: z
      .strictObject({
        attempts: z
          .int()
          .min(1)
          .max(20)
          .default(4)
          .meta({ description: 'Attempts for a stage that fails with a transient error.', ...live }),
        backoff_seconds: z
          .number()
          .min(0)
          .max(3_600)
          .default(15)
          .meta({
            description: 'Delay before the first retry; doubles each time, up to ten minutes (seconds).',
            ...live,
          }),
      })
      .prefault({}),
    pipeline: z
      .strictObject({
        extra: z
          .array(z.strictObject({ after: z.enum(STAGE_NAMES), module: absolutePath }))
          .default([])
          .meta({
            description:
              'Third-party stages, each {after, module}: the stage that it follows, and the absolute path of an ES module that exports it (docs/development.md).',
          }),
        hooks: z
          .array(
            z.strictObject({
              stage: z.enum(STAGE_NAMES),
              when: z.enum(['before', 'after']),
              command: z.tuple([absolutePath], z.string()),
              timeout_seconds: z.int().min(1).max(86_400).default(600),
            }),
          )
          .default([])
          .meta({
            description:
              'Programs to run before or after a stage, each {stage, when, command, timeout_seconds}: the job is JSON on their stdin, any exit code other than 0 fails the stage (docs/operations.md).',
            ...live,
          }),
      })
      .prefault({}),
    notify: z
      .strictObject({
        webhooks: z
          .array(z.strictObject({ ...notifyTarget, url: webUrl, secret_file: absolutePath.optional() }))
          .default([])
          .meta({
            description:
              'URLs notified of finished jobs and a paused queue, each {name, url, events, secret_file, timeout_seconds}: JSON by POST (docs/operations.md).',
            ...live,
          }),
        commands: z
          .array(z.strictObject({ ...notifyTarget, command: z.tuple([absolutePath], z.string()) }))
          .default([])
          .meta({
            description:
              'Commands run for the same events, each {name, command, events, timeout_seconds}: JSON on their stdin (docs/operations.md).',
            ...live,
          }),
        attempts: z
          .int()
          .min(1)
          .max(1_000)
          .default(20)
          .meta({ description: 'Attempts to deliver a notification before it is given up.', ...live }),
        backoff_seconds: z
          .number()
          .min(0.1)
          .max(600)
          .default(5)
          .meta({
            description:
              'Delay before the first retry of a delivery; doubles each time, up to ten minutes (seconds).',
            ...live,
          }),
      })
      .refine(({ webhooks, commands }) => {
        const names = [...webhooks, ...commands].map(({ name }) => name);
        return new Set(names).size === names.length;
      }, 'two receivers have the same name')
      .prefault({}),
    metrics: z
      .strictObject({
        listen: z
          .string()
          .refine(
            (text) => text === '' || isLoopback(text),
            'must be a loopback address with a port, such as 127.0.0.1:9180 or [::1]:9180',
          )
          .default('')
          .meta({
            description:
              'Loopback address and port (127.0.0.1:9180) where GET /metrics answers Prometheus. Empty: only the control socket has the metrics.',
          }),
      })
      .prefault({}),
    windows: z
      .strictObject({
        virtio_win: z
          .string()
          .refine((path) => path === '' || isAbsolute(path), 'must be an absolute path')
          .default('')
          .meta({
            description:
              'The drivers for Windows guests: the virtio-win ISO, a directory with its content, or the tree of the RPM (/usr/share/virtio-win). `hyper2kvm doctor` shows what it has for which Windows. Empty: Windows guests get no drivers.',
            ...live,
          }),
        first_boot_steps: z
          .string()
          .refine((path) => path === '' || isAbsolute(path), 'must be an absolute path')
          .default('')
          .meta({
            description:
              'A directory with batch files (*.cmd) that the first boot of every Windows guest runs after its own steps, in the order of their names, each for at most an hour. `hyper2kvm plan` shows them. Empty: none.',
            ...live,
          }),
        root: z
          .string()
          .default('')
          .meta({
            description:
              'The filesystem of the Windows that the VM starts, where several are installed (/dev/sda2, UUID=…). Empty: the only one.',
            ...job,
          }),
      })
      .prefault({}),
  })
  .meta({ title: 'hyper2kvm configuration' });

export type Config = z.infer<typeof configSchema>;

/** What a job.toml may contain beside the per-job options above. */
export const vmOptionsSchema = z.strictObject({
  name: z
    .string()
    .refine(isVmName, VM_NAME_RULE)
    .optional()
    .meta({ description: 'Name of the VM (default: the drop’s name).', setBy: 'dropper' }),
  memory: z
    .int()
    .min(16)
    .max(16_777_216)
    .optional()
    .meta({ description: 'Memory of the delivered VM (MiB).', setBy: 'dropper' }),
  vcpus: z
    .int()
    .min(1)
    .max(1_024)
    .optional()
    .meta({ description: 'Virtual CPUs of the delivered VM.', setBy: 'dropper' }),
  firmware: z
    .enum(['bios', 'uefi'])
    .optional()
    .meta({ description: 'Firmware of the delivered VM; overrides what INSPECT finds.', setBy: 'dropper' }),
  system: z.string().min(1).max(256).optional().meta({
    description: 'Which VM of an OVF that describes several, by its id or name.',
    setBy: 'dropper',
  }),
  configuration: z.string().min(1).max(256).optional().meta({
    description: 'Which deployment option of an OVF applies (default: the one marked as default).',
    setBy: 'dropper',
  }),
});
export const jobKindSchema = z.enum(['vm', 'data']);

/** The source of a job: its type, and what that type needs to know beside the drop. */
const jobSourceSchema = z.looseObject({ type: z.string() });

/** Everything that a stage may need to know about how a VM is to be handled. */
export const jobOptionsSchema = z.object({
  kind: jobKindSchema.default('vm'),
  /** The drop is the frozen base of a VM that still runs; what changes since is dropped at the cutover. */
  warm: z.boolean().default(false),
  vm: vmOptionsSchema.prefault({}),
  source: jobSourceSchema.prefault({ type: 'local' }),
  config: configSchema,
});
export type JobOptions = z.infer<typeof jobOptionsSchema>;

/** A test file that should catch a mutant. */
export interface CatchingTest {
  /** Relative to the repository. */
  file: string;
  /** Only the tests whose full name matches this (vitest's `-t`). Without it, all of the file. */
  only?: string;
}

/** A deliberate breakage of the product, and who should notice. */
export interface Mutant {
  name: string;
  /** What is then wrong, for people. */
  breaks: string;
  /** Relative to the repository. */
  file: string;
  /** Stands in the file exactly once, and is replaced by `by`. The result compiles. */
  text: string;
  by: string;
  /** Each of them alone should catch it; the cheapest first. */
  tests: readonly CatchingTest[];
}

/**
 * Returns the content of `mutant.file` with the breakage. Throws a RangeError where `text` is not in it
 * exactly once: the list is stale.
 */
export function mutate(content: string, { name, file, text, by }: Mutant): string {
  const [before, after, ...more] = content.split(text);
  if (before === undefined || after === undefined || more.length > 0) {
    const times = after === undefined ? 'not at all' : `${more.length + 1} times`;
    throw new RangeError(
      `${name}: its text is in ${file} ${times} instead of once: mend test/lab/mutant-list.ts`,
    );
  }
  return `${before}${by}${after}`;
}

export const isUnit = ({ file }: CatchingTest): boolean => file.startsWith('test/unit/');

const test =
  (directory: string) =>
  (name: string, only?: string): CatchingTest => ({
    file: `test/${directory}/${name}.test.ts`,
    ...(only === undefined ? {} : { only }),
  });
const unit = test('unit');
const integration = test('integration');
/** Guests of the lab are built where the cache has none. */
const guest = test('guests');

/**
 * At least one for each part of the product. Those without a unit test are what only the integration tests
 * prove. A long file, as it is a table.
 */
export const MUTANTS: readonly Mutant[] = [
  // Spool.
  {
    name: 'settle-while-growing',
    breaks: 'A drop that still grows counts as settled.',
    file: 'src/spool/settle.ts',
    text: 'since: same ? previous.since : now',
    by: 'since: same ? previous.since : (previous?.since ?? now)',
    tests: [unit('spool/settle')],
  },
  {
    name: 'group-without-extents',
    breaks: 'A descriptor does not wait for the extents that it lists.',
    file: 'src/spool/group-drops.ts',
    text: 'const reason = missingFiles(files) ?? missingDelta(files, frozen) ?? unfinished(files);',
    by: 'const reason = missingDelta(files, frozen) ?? unfinished(files);',
    tests: [unit('spool/group-drops'), integration('shapes', 'split into several extents')],
  },
  {
    name: 'writer-unseen',
    breaks: 'A file that somebody has open for writing is taken.',
    file: 'src/spool/writers.ts',
    text: "const ANSWERS = { held: 'no', writer: 'yes',",
    by: "const ANSWERS = { held: 'no', writer: 'no',",
    tests: [unit('spool/scan')],
  },
  {
    name: 'unreadable-stops-scan',
    breaks: 'One name that cannot be looked at keeps everything else waiting.',
    file: 'src/spool/scan.ts',
    text: "const state = withoutContent(name, 'unreadable');",
    by: "if (problem.code === 'spool.unreadable') throw error;\n      const state = withoutContent(name, 'unreadable');",
    tests: [unit('spool/scan'), integration('hostile-intake')],
  },
  {
    name: 'claim-takes-other-file',
    breaks: 'A claim takes whatever has the name by now.',
    file: 'src/spool/claim.ts',
    text: 'return dev === entry.device && ino === entry.inode && birthtimeMs === (entry.bornMs ?? birthtimeMs);',
    by: 'return dev === entry.device && ino !== 0 && birthtimeMs !== 0;',
    tests: [unit('spool/claim')],
  },
  {
    name: 'claim-unrecorded',
    breaks: 'A claim moves files before it is in the database.',
    file: 'src/spool/claim.ts',
    text: "await queue.claims.record(claim);\n  failpoint('claim.recorded');",
    by: "failpoint('claim.recorded');",
    tests: [integration('daemon-crash', 'claim.moved-first')],
  },
  {
    name: 'claim-forgotten-first',
    breaks: 'A claim that is taken back is forgotten before its half copies are removed.',
    file: 'src/spool/claim.ts',
    text: "if (areCopies)\n    for (const path of [source, copyDirectory(work, claim.job)])\n      await rm(path, { recursive: true, force: true });\n  for (const directory of [source, join(work, claim.job)]) await removeEmpty(directory);\n  failpoint('claim.undone');\n  await queue.claims.forget(claim.job);",
    by: "await queue.claims.forget(claim.job);\n  failpoint('claim.undone');\n  if (areCopies)\n    for (const path of [source, copyDirectory(work, claim.job)])\n      await rm(path, { recursive: true, force: true });\n  for (const directory of [source, join(work, claim.job)]) await removeEmpty(directory);",
    tests: [integration('faults', 'at failpoint:claim.undone')],
  },
  {
    name: 'rename-across-mounts',
    breaks: 'A rename that is refused between two mounts of one filesystem fails the claim.',
    file: 'src/spool/claim.ts',
    text: "if (index === 0 && isErrorCode(error, 'EXDEV')) return false;",
    by: "if (index === 0 && isCode(error, 'ENOTSUP')) return false;",
    tests: [integration('filesystems', 'three mounts of one filesystem.*claim.copied')],
  },
  {
    name: 'copy-unsynced',
    breaks:
      'What is copied onto another filesystem is not forced to its disk before the original is removed.',
    file: 'src/sources/local/copy-drop.ts',
    text: 'await syncTree(to);',
    by: '',
    tests: [integration('filesystems', 'copies are on the disk')],
  },
  {
    name: 'nothing-synced',
    breaks: 'Files and directories are never forced to disk.',
    file: 'src/files/durable.ts',
    text: "const handle = await open(path, 'r');\n  try {\n    await handle.sync();",
    by: "const handle = await open(path, 'r');\n  try {\n    await handle.stat();",
    tests: [integration('faults', 'when the power fails')],
  },

  // Queue and recovery.
  {
    name: 'commit-unsynced',
    breaks: 'The queue reports a commit before it is on the disk.',
    file: 'src/queue/sqlite/database.ts',
    text: 'PRAGMA synchronous = FULL;',
    by: 'PRAGMA synchronous = OFF;',
    tests: [unit('queue/sqlite/database')],
  },
  {
    name: 'checkpoint-kept',
    breaks: 'A checkpoint that does not hold any more stays in the queue.',
    file: 'src/queue/sqlite/checkpoints.ts',
    text: 'AND position >= (SELECT',
    by: 'AND position > (SELECT',
    tests: [unit('queue/store')],
  },
  {
    name: 'priority-ignored',
    breaks: 'Jobs start in the order of their ids, whatever their priority.',
    file: 'src/queue/sqlite/jobs.ts',
    text: "WHERE state = 'queued' ORDER BY priority DESC, job",
    by: "WHERE state = 'queued' ORDER BY job",
    tests: [unit('queue/store'), integration('daemon', 'starts by priority')],
  },
  {
    name: 'cancel-lost',
    breaks: 'A job that is cancelled in the moment in which it ends is delivered as converted.',
    file: 'src/queue/job-changes.ts',
    text: 'if (job.outcome === (instead ?? null)) return',
    by: "if (job.outcome === (instead ?? null) || job.outcome === 'cancelled') return",
    tests: [unit('queue/store'), unit('daemon/races')],
  },
  {
    name: 'stale-token-accepted',
    breaks: 'A run whose job was started again meanwhile still writes about it.',
    file: 'src/queue/job-changes.ts',
    text: "return job.state === 'running' && job.owner === owner && job.token === token;",
    by: "return job.state === 'running' && job.owner === owner && job.token >= token;",
    tests: [unit('queue/store')],
  },
  {
    name: 'jobs-of-others-taken-back',
    breaks: 'A start puts the jobs of another host back into the queue while that host runs them.',
    file: 'src/queue/sqlite/runs.ts',
    text: "WHERE state = 'running' AND owner = ?",
    by: "WHERE state = 'running' AND ? <> ''",
    tests: [unit('queue/store')],
  },
  {
    name: 'sweep-beside-a-run',
    breaks: 'The directory of a job that is tried again is swept from under it.',
    file: 'src/daemon/sweeper.ts',
    text: 'const release = this.#locks.tryToHold(name);',
    by: 'const release = () => {};',
    tests: [unit('daemon/sweeper')],
  },
  {
    name: 'no-space-unsaid',
    breaks: 'A job that can never fit on the disk waits for space for ever.',
    file: 'src/daemon/admission.ts',
    text: 'if (wanted + kept + HEADROOM_BYTES > space.total) throw',
    by: 'if (wanted + kept + HEADROOM_BYTES > space.total * 1e9) throw',
    tests: [unit('daemon/admission'), unit('daemon/races')],
  },
  {
    name: 'crashes-uncounted',
    breaks: 'A job that kills the daemon is tried for ever.',
    file: 'src/queue/job-changes.ts',
    text: 'return { ...requeued(job), crashes: job.crashes + 1 };',
    by: 'return requeued(job);',
    tests: [unit('queue/store'), integration('daemon-crash', 'is set aside after three times')],
  },
  {
    name: 'result-published-twice',
    breaks: 'A daemon that died after it published a result does not recognise it.',
    file: 'src/daemon/process-job.ts',
    text: 'if (decidedDirectory !== null && (await exists(decidedDirectory))) {',
    by: 'if (decidedDirectory !== null && !(await exists(decidedDirectory))) {',
    tests: [unit('daemon/worker'), integration('daemon-crash', 'finish.before-commit archives')],
  },

  // Engine.
  {
    name: 'checkpoint-always-holds',
    breaks: 'A stage is not run again when its options or its input changed.',
    file: 'src/engine/run-stages.ts',
    text: 'if (checkpoint === undefined || checkpoint.id !== id) return null;',
    by: 'if (checkpoint === undefined || id === undefined) return null;',
    tests: [unit('engine/run-stages')],
  },
  {
    name: 'accept-asked-once',
    breaks: 'A job that was killed after a boot that failed is delivered as converted.',
    file: 'src/engine/run-stages.ts',
    text: 'const refused = await refuse(stage, reused);\n        if (refused !== null) return refused;\n        await put(reused.record);',
    by: 'await put(reused.record);',
    tests: [unit('engine/run-stages')],
  },
  {
    name: 'appliance-stages-run-again',
    breaks: 'INSPECT and FIX are run again at each restart of the daemon.',
    file: 'src/engine/run-stages.ts',
    text: 'if (checkpoint === undefined || checkpoint.id !== id) return null;',
    by: "if (checkpoint === undefined || checkpoint.id !== id || stage.lane === 'appliances') return null;",
    tests: [guest('crash', 'in each of the seven stages')],
  },
  {
    name: 'changed-drop-unseen',
    breaks: 'A drop that is written to during its conversion is converted in two halves.',
    file: 'src/engine/run-stages.ts',
    text: 'if (isSameSource(before, await listSource(directory, entries))) return;',
    by: 'if ((await listSource(directory, entries)).length > 0 || isSameSource(before, [])) return;',
    tests: [unit('engine/run-stages')],
  },
  {
    name: 'ctime-left-out',
    breaks: 'A drop counts as unchanged when its owner set the times of its files back.',
    file: 'src/sources/local/list-source.ts',
    text: 'ctimeMs: changed,',
    by: 'mtimeMs: changed,',
    tests: [unit('engine/run-stages')],
  },
  {
    name: 'lease-not-held',
    breaks: 'The owner of a drop may write to it while it is read.',
    file: 'src/sources/local/hold-source.ts',
    text: "if (lease === 'held') handles.push(handle);\n    else await handle.close();",
    by: 'await handle.close();',
    tests: [unit('sources/local/hold-source'), unit('engine/run-stages')],
  },
  {
    name: 'broken-lease-unnoticed',
    breaks: 'Nobody notices that the owner of a drop waits to write to it, until the kernel lets them.',
    file: 'src/sources/local/hold-source.ts',
    text: 'const isHeld = () => handles.every(hasReadLease);',
    by: 'const isHeld = () => handles.every(hasReadLease) || handles.length > 0;',
    tests: [unit('engine/run-stages')],
  },
  {
    name: 'copy-follows-links',
    breaks: 'A directory that its owner exchanges for a link while it is copied leads out of the drop.',
    file: 'src/sources/local/copy-drop.ts',
    text: 'constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW',
    by: 'constants.O_RDONLY | constants.O_DIRECTORY',
    tests: [unit('sources/local/copy-drop-exchange'), integration('exchange')],
  },
  {
    name: 'lane-without-limit',
    breaks: 'As many conversions run at once as there are jobs.',
    file: 'src/engine/lanes.ts',
    text: 'conversions: new PQueue({ concurrency: slots.conversions }),',
    by: 'conversions: new PQueue({ concurrency: slots.conversions + 100 }),',
    tests: [unit('engine/lanes')],
  },
  {
    name: 'same-failure-retried',
    breaks: 'The same failure is tried again and again.',
    file: 'src/engine/retry.ts',
    text: "const isStuck = same && !last.code.startsWith('host.');",
    by: "const isStuck = same && last.code.startsWith('host.');",
    tests: [unit('engine/retry')],
  },
  {
    name: 'extra-stages-left-out',
    breaks: 'The operator’s own stages are loaded and not run.',
    file: 'src/stages/pipeline.ts',
    text: 'return executePipeline(request, { stages, openGuest: openAppliance });',
    by: 'return executePipeline(request, { stages: stages.filter((stage) => STAGES.includes(stage)), openGuest: openAppliance });',
    tests: [integration('extensions')],
  },

  {
    name: 'one-job-at-a-time',
    breaks: 'Drops are converted one after the other, whatever `workers.jobs` says.',
    file: 'src/daemon/worker.ts',
    text: 'const slots = this.#parts.config().workers.jobs;',
    by: 'const slots = Math.min(1, this.#parts.config().workers.jobs);',
    tests: [integration('drops', 'in two pieces at once runs side by side')],
  },

  // Parsers of disks.
  {
    name: 'vmdk-last-grain',
    breaks: 'A VMDK is whole when its first grain is there.',
    file: 'src/disk/vmdk/tables.ts',
    text: 'if (sector <= scan.last) continue;',
    by: 'if (scan.last >= 0) continue;',
    tests: [unit('disk/vmdk'), unit('sources/local/local-source')],
  },
  {
    name: 'vhdx-dirty-log',
    breaks: 'A VHDX whose log must be replayed is taken as it is.',
    file: 'src/disk/vhdx/layout.ts',
    text: 'if (newest.log === ZERO_GUID) return;',
    by: 'if (newest.log !== undefined) return;',
    tests: [unit('disk/hypervisors'), unit('disk/formats')],
  },
  {
    name: 'qcow2-data-file',
    breaks: 'A qcow2 that keeps its data in another file is not refused.',
    file: 'src/disk/qcow2/header.ts',
    text: 'if (incompatible & INCOMPATIBLE.dataFile) {',
    by: 'if (incompatible & INCOMPATIBLE.dataFile & INCOMPATIBLE.corrupt) {',
    tests: [unit('disk/qcow2')],
  },
  {
    name: 'ovf-disk-order',
    breaks: 'The disks of an OVF come in the order of the file, not of their units.',
    file: 'src/disk/ovf/disks.ts',
    text: "compareNames(a.controller ?? '', b.controller ?? ''),",
    by: '0,',
    tests: [unit('disk/ovf/ovf')],
  },
  {
    name: 'tar-offset',
    breaks: 'The members of an OVA begin one block too early.',
    file: 'src/disk/base/tar.ts',
    text: 'members.set(name, { name, offset, size });',
    by: 'members.set(name, { name, offset: offset - BLOCK, size });',
    tests: [unit('disk/ovf/ovf'), unit('sources/local/local-source')],
  },

  // FETCH.
  {
    name: 'frozen-disk-taken',
    breaks: 'A disk that a snapshot froze is converted without what came after.',
    file: 'src/sources/local/choose-disks.ts',
    text: 'if (!frozen.includes(name)) return { name, controller: null };',
    by: "if (!frozen.includes('')) return { name, controller: null };",
    tests: [unit('sources/local/local-source')],
  },
  {
    name: 'hard-link-taken',
    breaks: 'A dropped hard link to another user’s file is read.',
    file: 'src/sources/local/local-source.ts',
    text: 'refuseHardLinks: isInside(drop.directory, workDirectory),',
    by: 'refuseHardLinks: isInside(workDirectory, drop.directory),',
    tests: [unit('sources/local/local-source'), integration('hostile', 'a hard link to a file outside')],
  },
  {
    name: 'deep-directories-walked',
    breaks: 'A drop of any depth and any number of files is gone through.',
    file: 'src/sources/local/inventory.ts',
    text: 'const MAX_DEPTH = 8;',
    by: 'const MAX_DEPTH = 800;',
    tests: [integration('hostile', 'directories 40 deep')],
  },
  {
    name: 'manifest-unread',
    breaks: 'A disk that is not the one of its manifest is converted.',
    file: 'src/disk/ovf/manifest.ts',
    text: "if (hash.digest('hex') === line.digest) return;",
    by: "if (hash.digest('hex') !== '') return;",
    tests: [integration('flatten-ova', 'with a lying manifest')],
  },

  // FLATTEN.
  {
    name: 'backing-order',
    breaks: 'The layers of a snapshot chain are put on each other upside down.',
    file: 'src/disk/graph.ts',
    text: 'const layers = [...chain.layers.entries()].reverse();',
    by: 'const layers = [...chain.layers.entries()];',
    tests: [integration('flatten', 'deltas on monolithicSparse'), integration('shapes', 'vmdk, 2 deep')],
  },
  {
    name: 'ova-member-offset',
    breaks: 'QEMU reads a disk in an OVA from the wrong place.',
    file: 'src/disk/graph.ts',
    text: "return region === undefined ? file : { driver: 'raw', offset: region.offset, size: region.size, file };",
    by: "return region === undefined ? file : { driver: 'raw', offset: 0, size: region.size, file };",
    tests: [integration('flatten-ova', 'is read in place')],
  },
  {
    name: 'backing-name-too-long',
    breaks: 'A deep chain is written into one header, where it does not fit.',
    file: 'src/disk/graph.ts',
    text: 'const MAX_BACKING_NAME = 1023;',
    by: 'const MAX_BACKING_NAME = 102_300;',
    tests: [integration('shapes', 'qcow2, 64 deep')],
  },
  {
    name: 'unreadable-disk-unexplained',
    breaks: 'A disk that QEMU cannot open fails with a tool’s code.',
    file: 'src/stages/flatten/build.ts',
    text: "if (!(error instanceof Hyper2kvmError) || error.code !== 'tool.failed') return error;",
    by: "if (!(error instanceof Hyper2kvmError) || error.code === 'tool.failed') return error;",
    tests: [guest('failures', 'in FLATTEN')],
  },

  // INSPECT.
  {
    name: 'root-of-snapshot',
    breaks: 'A copy of the system is taken for the system that boots.',
    file: 'src/families/linux/inspect/choose-root.ts',
    text: 'Number(b.isSelfMounted) - Number(a.isSelfMounted) ||',
    by: 'Number(a.isSelfMounted) - Number(b.isSelfMounted) ||',
    tests: [unit('families/linux/inspect/roots')],
  },
  {
    name: 'root-of-lvm-snapshot',
    breaks: 'A snapshot of LVM is taken for the system that boots, and its journal is replayed into it.',
    file: 'src/families/linux/inspect/roots.ts',
    text: '({ snapshot_of }: Filesystem) => snapshot_of !== undefined;',
    by: '({ snapshot_of }: Filesystem) => snapshot_of === undefined;',
    tests: [unit('families/linux/inspect/roots'), guest('phony-guest')],
  },
  {
    name: 'lvm-snapshot-unknown',
    breaks: 'INSPECT does not know which volumes of LVM are snapshots.',
    file: 'src/stages/inspect/storage.ts',
    text: 'origin === undefined ? volume : { ...volume, snapshot_of: origin }',
    by: 'volume',
    tests: [guest('phony-guest')],
  },
  {
    name: 'mount-order',
    breaks: 'The guest’s filesystems are mounted over each other in the wrong order.',
    file: 'src/families/linux/inspect/mounts.ts',
    text: 'sort((a, b) => a.mountpoint.length - b.mountpoint.length)',
    by: 'sort((a, b) => b.mountpoint.length - a.mountpoint.length)',
    tests: [unit('families/linux/inspect/mounts')],
  },
  {
    name: 'program-behind-link',
    breaks: 'A program that is a link (Alpine’s /bin/sh) counts as none.',
    file: 'src/access/guest-reader.ts',
    text: "return (await reader.stat(path))?.type === 'file';",
    by: "return (await (reader as GuestReader).lstat(path))?.type === 'file';",
    tests: [unit('families/linux/inspect/architecture')],
  },
  {
    name: 'key-in-error',
    breaks: 'The key of an encrypted disk is in the report of its failure.',
    file: 'src/appliance/devices.ts',
    text: 'const isQuoted = text.includes(PRINT);',
    by: "const isQuoted = text.includes(PRINT) && name === '';",
    tests: [unit('appliance/devices')],
  },
  {
    name: 'modules-of-another-kernel',
    breaks: 'An initramfs has a driver when it has that of another kernel.',
    file: 'src/guest/initramfs-listing.ts',
    text: ".filter((file) => file.replace(/^(?:usr\\/)?lib\\//, '').startsWith(prefix))",
    by: ".filter((file) => file.replace(/^(?:usr\\/)?lib\\//, '').startsWith(prefix.slice(0, 8)))",
    tests: [unit('guest/initramfs-listing')],
  },

  // PLAN and the fixers.
  {
    name: 'by-path-left',
    breaks: '/dev/disk/by-path of the old hypervisor stays in fstab.',
    file: 'src/guest/device-names.ts',
    text: '(/^\\/dev\\/disk\\/by-(path|id)\\//.test(spec) && !MEMBER_LINK.test(spec))',
    by: '(/^\\/dev\\/disk\\/by-id\\//.test(spec) && !MEMBER_LINK.test(spec))',
    tests: [unit('families/linux/fstab'), unit('guest/device-names')],
  },
  {
    name: 'uuid-of-another-partition',
    breaks: 'A device name gets the UUID of another partition of its disk.',
    file: 'src/guest/device-names.ts',
    text: '(filesystem) => filesystem.disk === place.disk && filesystem.partition === place.partition,',
    by: '(filesystem) => filesystem.disk === place.disk && filesystem.partition !== place.partition,',
    tests: [unit('guest/device-names'), unit('families/linux/fstab')],
  },
  {
    name: 'network-pin-left',
    breaks: 'A udev rule ties the network card to VMware’s driver.',
    file: 'src/families/linux/network/udev.ts',
    text: 'return binding.mac === null && binding.isPinned ? [] : [unpinned(line)];',
    by: 'return binding.mac === null && binding.isPinned ? [] : [line];',
    tests: [unit('families/linux/network')],
  },
  {
    name: 'appended-without-index',
    breaks: 'The appended drivers are in no index that modprobe reads.',
    file: 'src/families/linux/initramfs.ts',
    text: '[...files, ...index.indexes()].map((file) => posix.normalize(file)).sort(),',
    by: '[...files].map((file) => posix.normalize(file)).sort(),',
    tests: [unit('families/linux/initramfs')],
  },
  {
    name: 'driver-unmissed',
    breaks: 'An initramfs without virtio_blk needs nothing.',
    file: 'src/families/linux/initramfs.ts',
    text: 'if (![...storage, ...network].some(isMissing)) return [];',
    by: 'if (![...storage, ...network].every(isMissing)) return [];',
    tests: [unit('families/linux/initramfs')],
  },
  {
    name: 'modern-virtio-for-old-kernels',
    breaks: 'A kernel from before virtio 1.0 gets devices for which it has no driver.',
    file: 'src/families/linux/devices.ts',
    text: "devices: { ...virtio.devices, virtio: 'transitional' }",
    by: 'devices: virtio.devices',
    tests: [unit('families/linux/devices'), guest('phony-guest')],
  },
  {
    name: 'appendix-unaligned',
    breaks: 'What is appended to an initramfs does not begin at a multiple of four.',
    file: 'src/guest/initramfs-appendix.ts',
    text: 'const padding = Buffer.alloc((4 - (listing.size % 4)) % 4);',
    by: 'const padding = Buffer.alloc(0);',
    tests: [unit('guest/initramfs-listing')],
  },
  {
    name: 'appendix-hard-links',
    breaks: 'The files of the appended archive are links of each other to the kernel, as to nobody else.',
    file: 'src/guest/cpio.ts',
    text: 'const fields = [inode, mode, 0, 0, links, 0, data.length,',
    by: 'const fields = [inode - inode, mode, 0, 0, links + 1, 0, data.length,',
    tests: [guest('initramfs-kernel', 'behind a none initramfs')],
  },
  {
    name: 'grub-untouched',
    breaks: 'grub.cfg keeps the device names of the old hypervisor.',
    file: 'src/families/linux/grub2.ts',
    text: "const KINDS: readonly BootFileKind[] = ['grub2', 'grubenv', 'grub-defaults'];",
    by: "const KINDS: readonly BootFileKind[] = ['grubenv', 'grub-defaults'];",
    tests: [unit('families/linux/boot')],
  },
  {
    name: 'no-fallback-loader',
    breaks: 'A UEFI guest gets no loader that a new machine’s firmware finds.',
    file: 'src/families/linux/uefi-fallback.ts',
    text: 'if (files.some(isFallback)) return [];',
    by: 'if (!files.some(isFallback)) return [];',
    tests: [unit('families/linux/residue')],
  },
  {
    name: 'unified-image-length',
    breaks: 'A changed section of a unified kernel image keeps its old length.',
    file: 'src/guest/unified-image.ts',
    text: 'head.writeUInt32LE(content.length, changed.header + 8);',
    by: 'head.writeUInt32LE(changed.virtualSize, changed.header + 8);',
    tests: [unit('guest/unified-image')],
  },

  // FIX.
  {
    name: 'files-unproven',
    breaks: 'Changed files are not read back from the guest.',
    file: 'src/operations/prove-outcomes.ts',
    text: 'if ((await guest.read(path)).equals(expected)) return null;',
    by: 'if (expected.equals(expected)) return null;',
    tests: [unit('operations/prove-outcomes')],
  },
  {
    name: 'initramfs-unproven',
    breaks: 'What was appended to an initramfs is not compared.',
    file: 'src/operations/append-initramfs.ts',
    text: 'if (size !== offset + appendix.length || !readBack.equals(appendix)) {',
    by: 'if (size !== offset + appendix.length) {',
    tests: [unit('operations/append-initramfs')],
  },
  {
    name: 'immutable-left-off',
    breaks: 'A file of the guest that was immutable is not any more.',
    file: 'src/appliance/locked-files.ts',
    text: "if ((await reader.lstat(place)) !== null) await session.call('set_e2attrs', place, flags);",
    by: "if ((await reader.lstat(place)) === null) await session.call('set_e2attrs', place, flags);",
    tests: [unit('appliance/writer'), guest('phony-guest')],
  },
  {
    name: 'evidence-delivered',
    breaks: 'What the boot test adds to the guest is written into the delivered disk.',
    file: 'src/stages/fix/index.ts',
    text: "const files = await layers.add('evidence');",
    by: 'const files: string[] = [];',
    tests: [guest('pipeline', 'bookworm-uefi')],
  },
  {
    name: 'subvolume-ignored',
    breaks: 'FIX mounts the top of a btrfs instead of the subvolume with the system.',
    file: 'src/appliance/reader.ts',
    text: "options === '' ? mode :",
    by: "options === '' || mode === 'rw' ? 'rw' :",
    tests: [unit('appliance/reader'), guest('matrix-trixie-uefi-systemd-boot-btrfs-luks')],
  },

  // CONVERT.
  {
    name: 'digest-of-the-overlay',
    breaks: 'SHA256SUMS has the digest of another file than the delivered disk.',
    file: 'src/stages/convert/index.ts',
    text: 'sha256File(temporary, signal),',
    by: 'sha256File(join(context.workDirectory, disk.image), signal),',
    tests: [guest('cli-convert', 'writes the bundle, reads the job.toml')],
  },
  {
    name: 'compression-option',
    breaks: 'qemu-img gets the cluster size in KiB instead of bytes.',
    file: 'src/stages/convert/output-format.ts',
    text: 'cluster_size: String(cluster_size_kib * 1024)',
    by: 'cluster_size: String(cluster_size_kib)',
    tests: [unit('stages/convert/output-format')],
  },
  {
    name: 'source-taken',
    breaks: '`convert` moves the source into the bundle instead of leaving it where it is.',
    file: 'src/commands/convert.ts',
    text: "keepSource: 'leave',",
    by: "keepSource: 'archive',",
    tests: [guest('cli-convert', 'writes the bundle, reads the job.toml')],
  },

  // VALIDATE.
  {
    name: 'always-booted',
    breaks: 'A guest that stands still has booted.',
    file: 'src/stages/validate/recogniser.ts',
    text: "return failed(otherFailure('stalled'), true);",
    by: "return { verdict: 'booted', failure: null, underLoad: true };",
    tests: [unit('stages/validate/recogniser')],
  },
  {
    name: 'last-login-is-login',
    breaks: '“Last login:” counts as a login prompt.',
    file: 'src/families/linux/boot-levels.ts',
    text: '/^(?!Last )[\\w.-]{1,64} login:(?:\\s|$)/',
    by: '/^[\\w.-]{1,64} login:(?:\\s|$)/',
    tests: [unit('stages/validate/recogniser')],
  },
  {
    name: 'no-second-boot',
    breaks: 'A boot that failed under load is not tried again.',
    file: 'src/stages/validate/index.ts',
    text: 'const MAX_ATTEMPTS = 2;',
    by: 'const MAX_ATTEMPTS: number = 1;',
    tests: [guest('validate', 'has stalled; load could explain it')],
  },
  {
    name: 'failed-boot-passes',
    breaks: 'A VM that did not boot is delivered as converted.',
    file: 'src/stages/validate/accept.ts',
    text: 'return required ? notBooted(boot, boot.failure) : null;',
    by: 'return required ? null : notBooted(boot, boot.failure);',
    tests: [unit('stages/validate/accept'), guest('validate', 'fails with uefi-shell on UEFI')],
  },
  {
    name: 'evidence-unseen',
    breaks: 'The boot test does not boot the layer in which the guest reports on itself.',
    file: 'src/machine/qemu-arguments.ts',
    text: "backing: evidence === null ? delivered : layer(evidence, 'qcow2', delivered),",
    by: 'backing: evidence === null ? null : delivered,',
    tests: [unit('machine/qemu-arguments'), guest('validate', 'is booted, reports on itself')],
  },
  {
    name: 'delivered-disk-writable',
    breaks: 'The boot test may write to the delivered disk.',
    file: 'src/machine/qemu-arguments.ts',
    text: "driver: format,\n    'read-only': true,",
    by: "driver: format,\n    'read-only': false,",
    tests: [unit('machine/qemu-arguments')],
  },
  {
    name: 'content-uncompared',
    breaks: 'A data disk passes whatever its content.',
    file: 'src/stages/validate/compare-source.ts',
    text: 'if (!same) throw differs(file);',
    by: 'if (source === undefined) throw differs(file);',
    tests: [unit('stages/validate/compare-source')],
  },

  // Report and domain.
  {
    name: 'markup-unescaped',
    breaks: 'Names from a guest become markup in the report.',
    file: 'src/text/escape-markup.ts',
    text: '.replace(/[&<>"\']/g, (character) => ENTITIES[character]!);',
    by: '.replace(/[&"\']/g, (character) => ENTITIES[character]!);',
    tests: [unit('text/escape'), unit('report/html')],
  },
  {
    name: 'checksum-of-odd-name',
    breaks: 'SHA256SUMS cannot be checked where a name has a line end.',
    file: 'src/report/checksums.ts',
    text: "const mark = escaped.length === path.length ? '' : '\\\\';",
    by: "const mark = '';",
    tests: [unit('report/bundle')],
  },
  {
    name: 'domain-bus',
    breaks: 'The libvirt domain has the disks on another bus than the one that was booted.',
    file: 'src/machine/libvirt-domain.ts',
    text: "(index)}' bus='",
    by: "(index)}' bus='sata' was='",
    tests: [unit('machine/libvirt-domain')],
  },
  {
    name: 'domain-mac',
    breaks: 'The network cards of the new VM have new addresses.',
    file: 'src/machine/machine.ts',
    text: 'map(({ mac }) => cardAddress(mac)),',
    by: 'map(() => null),',
    tests: [unit('machine/machine')],
  },
  {
    name: 'start-without-plan',
    breaks: 'The start command has virtio disks, whatever the plan chose.',
    file: 'src/machine/start-command.ts',
    text: '...deviceArguments(machine),',
    by: "...deviceArguments({ ...machine, diskBus: 'virtio' }),",
    tests: [unit('machine/renderers')],
  },
  {
    name: 'bundle-closed-to-libvirt',
    breaks: 'libvirt cannot open the disks of a delivered bundle.',
    file: 'src/report/bundle.ts',
    text: 'await letQemuPass([bundleDirectory],',
    by: 'await letQemuPass([],',
    tests: [guest('libvirt', 'opens the disk that `convert -o` wrote')],
  },
  {
    name: 'bundle-open-to-libvirt',
    breaks: 'libvirt’s QEMU may list the bundles of all VMs.',
    file: 'src/tools/acl.ts',
    text: ':x`;',
    by: ':rx`;',
    tests: [unit('tools/acl')],
  },
  {
    name: 'domain-needs-kvm',
    breaks: 'The domain asks for a KVM that does not run here.',
    file: 'src/machine/libvirt-domain.ts',
    text: "names.accelerator === 'kvm' ? 'kvm' : 'qemu'",
    by: "names.accelerator === 'kvm' ? 'qemu' : 'kvm'",
    tests: [unit('machine/libvirt-domain')],
  },
  {
    name: 'arm-on-pc',
    breaks: 'An AArch64 guest gets a PC.',
    file: 'src/machine/architecture.ts',
    text: "rpm: ['aarch64'], machine: 'aarch64' }",
    by: "rpm: ['aarch64'], machine: 'x86_64' }",
    tests: [unit('machine/architecture'), unit('machine/libvirt-domain')],
  },

  // Control socket, notifications, metrics, configuration, commands.
  {
    name: 'socket-for-everybody',
    breaks: 'Every user of the host may command the daemon.',
    file: 'src/api/server.ts',
    text: 'chmodSync(this.#socket, 0o660);',
    by: 'chmodSync(this.#socket, 0o666);',
    tests: [unit('api/control')],
  },
  {
    name: 'webhook-url-told',
    breaks: 'The log and the report have the URL of a webhook, with its token.',
    file: 'src/notifications/deliver.ts',
    text: '.name} answered ',
    by: '.url} answered ',
    tests: [unit('notifications/notifications')],
  },
  {
    name: 'notifications-of-the-dead',
    breaks: 'What a killed daemon had not delivered waits until something else happens.',
    file: 'src/daemon/compose.ts',
    text: 'start: () => notifying.start(),',
    by: 'start: () => void setTimeout(() => notifying.start(), 600_000).unref(),',
    tests: [integration('notify', 'what was undelivered when the daemon was killed')],
  },
  {
    name: 'metrics-of-the-wrong-state',
    breaks: 'The metrics call running jobs queued.',
    file: 'src/metrics/collect.ts',
    text: '[{ value: jobs.queued }]',
    by: '[{ value: jobs.running }]',
    tests: [unit('metrics/metrics')],
  },
  {
    name: 'dropper-sets-host-paths',
    breaks: 'A job.toml may set what is the operator’s, and costs more than a conversion.',
    file: 'src/config/job-options.ts',
    text: "perJob && (by === 'operator' || setBy === by)",
    by: "perJob && (by === 'operator' || setBy !== undefined)",
    tests: [unit('config/bounds')],
  },
  {
    name: 'job-toml-unbounded',
    breaks: 'A job.toml may ask for any amount of the host’s memory.',
    file: 'src/config/job-options.ts',
    text: 'return Number(wanted) <= most',
    by: 'return Number(wanted) <= Math.max(most, Number(wanted))',
    tests: [unit('config/bounds')],
  },
  {
    name: 'unknown-key-taken',
    breaks: 'A misspelled key of a job.toml is passed over.',
    file: 'src/config/job-options.ts',
    text: 'return z.strictObject({',
    by: 'return z.looseObject({',
    tests: [unit('config/job-options')],
  },
  {
    name: 'exit-code-of-usage',
    breaks: 'A wrong command line ends with the code of a failed conversion.',
    file: 'src/commands/failure.ts',
    text: 'return USAGE_CODE.test(error.code) ? EXIT_USAGE : EXIT_FAILED;',
    by: 'return USAGE_CODE.test(error.code) ? EXIT_FAILED : EXIT_FAILED;',
    tests: [unit('commands/main')],
  },

  // Programs that are started.
  {
    name: 'sandbox-off',
    breaks: 'Tools read dropped disks without a sandbox.',
    file: 'src/tools/sandbox.ts',
    text: "kind === 'none' ? [] : ['bwrap',",
    by: "kind !== undefined ? [] : ['bwrap',",
    tests: [unit('tools/sandbox')],
  },
  {
    name: 'tools-speak-for-service',
    breaks: 'A tool that a disk has taken over knows where the service speaks to systemd.',
    file: 'src/tools/environment.ts',
    text: '{ ...SERVICE_ONLY, ...ownerEnvironment() }',
    by: 'ownerEnvironment()',
    tests: [unit('tools/environment')],
  },
  {
    name: 'sandbox-with-network',
    breaks: 'A dropped disk can make a tool open a connection.',
    file: 'src/tools/sandbox.ts',
    text: "'--unshare-net',",
    by: '',
    tests: [unit('tools/sandbox')],
  },
  {
    name: 'orphans-live',
    breaks: 'What a killed daemon had started goes on.',
    file: 'src/tools/orphans.ts',
    text: 'if (!(await isGone({ namespace, pid, started }))) continue;',
    by: 'if (pid > 0 || !(await isGone({ namespace, pid, started }))) continue;',
    tests: [unit('tools/orphans')],
  },
  {
    name: 'linked-drop-copied',
    breaks: 'A drop with a hard link is copied from another filesystem and given back, again and again.',
    file: 'src/spool/claim.ts',
    text: "if (linked === 'refused') refuseHardLinks(name, stats);",
    by: "if (linked === 'refused' && name === '') refuseHardLinks(name, stats);",
    tests: [unit('spool/claim')],
  },
  {
    name: 'failed-claim-without-rest',
    breaks: 'A drop whose claim takes hours to fail keeps all others.',
    file: 'src/daemon/intake.ts',
    text: 'return this.#backoff.has(name) || this.#copies.has(name);',
    by: 'return this.#copies.has(name);',
    tests: [unit('daemon/intake')],
  },
  {
    name: 'copies-one-by-one',
    breaks: 'While a drop is copied from another filesystem nothing else is taken in.',
    file: 'src/daemon/claim-drop.ts',
    text: 'const job = await Promise.race([copying, claimed]);',
    by: 'const job = await Promise.race([claimed, claimed.then(() => copying)]);',
    tests: [unit('daemon/intake')],
  },
  {
    name: 'archived-unseen',
    breaks: 'What is archived is not what was converted: its owner wrote to it in between.',
    file: 'src/report/digest-converted.ts',
    text: 'if (sourceId(await listSource(directory, entries)) !== expected) throw changed();',
    by: "if (sourceId(await listSource(directory, entries)) === '') throw changed();",
    tests: [unit('report/bundle'), unit('daemon/worker')],
  },
  {
    name: 'original-writable',
    breaks: 'A tool that a guest has taken over can write to the drop beside its private copy.',
    file: 'src/sources/local/hold-source.ts',
    text: 'const places = original === undefined ? [directory] : [directory, original];',
    by: 'const places = original === undefined ? [directory] : [directory, directory];',
    tests: [unit('sources/local/hold-source'), unit('engine/run-stages')],
  },
  {
    name: 'retry-copy-uncounted',
    breaks: '`retry` fills the work disk with the copy of a drop that is on another filesystem.',
    file: 'src/daemon/space-needs.ts',
    text: "const copies = [!isMoved, !(await isSameFilesystem(work, archive)), flatten.mode === 'copy'];",
    by: "const copies = [!(await isSameFilesystem(work, archive)), flatten.mode === 'copy'];",
    tests: [unit('daemon/operations')],
  },
  {
    name: 'watchdog-fed-blindly',
    breaks: 'A daemon whose database hangs looks alive to systemd.',
    file: 'src/daemon/systemd.ts',
    text: 'await this.#ping();\n      this.#notifier.watchdog();',
    by: 'this.#notifier.watchdog();',
    tests: [unit('daemon/systemd')],
  },

  // The systemd unit and the Debian package.
  {
    name: 'unit-not-notified',
    breaks: 'systemd takes the service for active before the daemon is ready.',
    file: 'systemd/hyper2kvm.service',
    text: 'Type=notify',
    by: 'Type=simple',
    tests: [integration('systemd', 'is active only after the daemon was ready')],
  },
  {
    name: 'unit-spool-read-only',
    breaks: 'The service may not write to its spool.',
    file: 'systemd/hyper2kvm.service',
    text: 'ReadWritePaths=/var/spool/hyper2kvm',
    by: 'ReadWritePaths=/var/lib/hyper2kvm',
    tests: [integration('systemd', 'is active only after the daemon was ready')],
  },
  {
    name: 'unit-kills-the-tools',
    breaks: 'A stop of the service leaves what it started running.',
    file: 'systemd/hyper2kvm.service',
    text: 'KillMode=mixed',
    by: 'KillMode=none',
    tests: [integration('systemd', 'stops in seconds during a conversion')],
  },
  {
    name: 'unit-restarts-wrong-usage',
    breaks: 'A service with a wrong configuration is started again and again.',
    file: 'systemd/hyper2kvm.service',
    text: 'RestartPreventExitStatus=2',
    by: 'RestartPreventExitStatus=3',
    tests: [integration('systemd', 'does not start with a wrong configuration')],
  },
  {
    name: 'unit-without-sandbox',
    breaks: 'The tools of the service cannot be confined.',
    file: 'systemd/hyper2kvm.service',
    text: 'RestrictNamespaces=user mnt pid net ipc uts',
    by: 'RestrictNamespaces=yes',
    tests: [integration('systemd-notify', 'run under bubblewrap')],
  },
  {
    name: 'package-other-systems',
    breaks: 'The package has binaries of other systems.',
    file: 'src/packaging/modules.ts',
    text: "return !path.endsWith('.node') || NATIVE_HERE.test(path);",
    by: 'return true;',
    tests: [unit('packaging/packaging')],
  },
  {
    name: 'purge-deletes-vms',
    breaks: 'Purging the package deletes the VMs of users.',
    file: 'src/packaging/debian/postrm',
    text: '[ ! -d "$spool/$directory" ] || rmdir --ignore-fail-on-non-empty "$spool/$directory"',
    by: '[ ! -d "$spool/$directory" ] || rm -rf "$spool/$directory"',
    tests: [integration('package')],
  },

  // What tests the rest.
  {
    name: 'lab-controller-elsewhere',
    breaks:
      'The lab’s VMware machine has its disk controller at another address, where by-path names do not fit.',
    file: 'test/lab/boot.ts',
    text: "'pvscsi,id=pvscsi,bus=port3',",
    by: "'pvscsi,id=pvscsi,bus=port4',",
    tests: [guest('lab-guests', 'bookworm-bios as VMware leaves it')],
  },
  {
    name: 'hook-failure-uncounted',
    breaks: 'A failing hook is no failure of a test run.',
    file: 'test/lab/test-reporter.ts',
    text: "const told = count(module, 'failed') + module.errors().length + inGroups;\n  return told === 0 && isFinished(module) && !module.ok() ? 1 : told;",
    by: "return inGroups >= 0 ? count(module, 'failed') : 0;",
    tests: [integration('test-run', 'hides no failure of a hook')],
  },
  {
    name: 'leak-uncounted',
    breaks: 'What a test leaves behind is no failure of a test run.',
    file: 'test/lab/test-run.ts',
    text: 'if (outcome.unfinished.length === 0) outcome.errors += leaks.length;',
    by: '',
    tests: [integration('test-run', 'what a test leaves behind')],
  },
];

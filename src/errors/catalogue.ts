/** The meaning of a code, declared once for all places that report it. */
export interface CatalogueEntry {
  /** Meaning and general remedy, as Markdown. The error's own message and advice have the details. */
  meaning: string;
  /** What to do, used if the place that reports it has no advice. */
  advice?: string;
  /** HTTP status of the control socket's answer; 500 if absent. */
  http?: number;
}

/**
 * Every code of an error or warning, by section of docs/failures.md, from which its tables are generated. Two
 * kinds come from other tables: `validate.<signature>` of a failed boot, and `host.<errno>`. The compiler
 * refuses a code that is in none of them.
 */
const SECTIONS = {
  'boot-warnings': {
    'validate.missing-mounts': {
      meaning:
        'Lines of /etc/fstab (without `noauto`, `nofail`) are not mounted. Is every disk of the VM in the drop? (An error where `validate.require` has `mounts`.)',
    },
    'validate.missing-address': {
      meaning:
        "A static address of the guest's network configuration is not up: the interface has another name, or its card is missing. (An error where `validate.require` has `network`.)",
    },
    'validate.no-address': {
      meaning:
        "The guest uses DHCP and got no address, although the boot test's network has a DHCP server. (An error where `validate.require` has `network`.)",
    },
    'validate.failed-units': {
      meaning:
        'systemd units failed; boot/serial.log has their messages. A unit that needs the real network also fails in the boot test. (An error where `validate.require` has `units`.)',
    },
    'validate.not-reported': {
      meaning:
        'The guest did not report on itself: it has no systemd, or its unit did not finish in time. (Only where `validate.require` asks for something.)',
    },
  },
  boot: {
    'validate.no-emulator': {
      meaning:
        "This host has no QEMU for the guest's architecture, so the boot was not tested. Install it (`apt install qemu-system-x86`; for aarch64 guests `qemu-system-arm qemu-efi-aarch64`) and retry the job, or set `validate.required = false`.",
    },
    'validate.no-uefi-firmware': {
      meaning:
        'This host has no UEFI firmware for the VM, so the boot was not tested. Install it (`apt install ovmf`; for aarch64 guests `qemu-efi-aarch64`) and retry the job, or set `validate.required = false`.',
    },
    'validate.qemu-died': {
      meaning: 'QEMU exited during the boot; the message has its output. Retried automatically.',
    },
  },
  drop: {
    'fetch.unknown-format': {
      meaning:
        'Not a disk image: no known header, partition table or filesystem. An empty data disk needs `kind = "data"`.',
    },
    'fetch.conflicting-format': {
      meaning: 'The name says one format, the content another. Rename the file to match its content.',
    },
    'fetch.truncated': {
      meaning: 'The file is incomplete: its header points beyond its end. Copy it again.',
    },
    'fetch.corrupt': { meaning: 'The header contradicts itself. Export the disk again.' },
    'fetch.unsupported': {
      meaning:
        'A variant that cannot be read (encrypted, or an unknown version). The message says which tool converts it.',
    },
    'fetch.missing-parent': {
      meaning: 'A snapshot delta without its parent. Drop the whole chain: base and deltas.',
    },
    'fetch.unfinished': {
      meaning:
        'Beside the disk, or in its place, is what a copy or download leaves until it has ended (`.part`, `.aria2`, `.st`, `.lftp-pget-status` and the like). Let it end; if the disk is whole, remove that file.',
    },
    'fetch.split-file': {
      meaning:
        'The disk was cut into files by split(1), 7-Zip or the like. Join them first: `cat web01.qcow2.* > web01.qcow2`.',
    },
    'fetch.missing-delta': {
      meaning:
        'The .vmsd or .vbox says that a snapshot froze this disk, but no delta in the drop builds on it: this is an old state. Copy the deltas, or leave the .vmsd or .vbox out.',
    },
    'fetch.parent-mismatch': {
      meaning:
        'The parent was changed after the snapshot, or belongs to another VM. Copy both again while the VM is off.',
    },
    'fetch.missing-extent': { meaning: 'The descriptor names files that are not in the drop.' },
    'fetch.missing-descriptor': {
      meaning:
        'A piece of a disk (`-flat`, `-s001`) without its descriptor. Copy the small text file as well.',
    },
    'fetch.missing-disk': { meaning: 'The .vmx or .ovf names a disk that is not in the drop.' },
    'fetch.no-disk': { meaning: 'The dropped directory contains no disk image.' },
    'fetch.empty': { meaning: 'The drop contains no files.' },
    'fetch.several-leaves': {
      meaning: 'Two newest states of the same disk. Add the .vmx, or drop only the chain you want.',
    },
    'fetch.unknown-configuration': {
      meaning:
        'The OVF has no deployment option with the name in `[vm] configuration`. The message lists the available ones.',
    },
    'fetch.suspended': {
      meaning:
        'Warning: the drop has the memory of a suspended VM (`.vmss`, `.sav`), which is not converted. Resume the VM and shut it down, or take what is on its disks.',
    },
    'fetch.description-unread': {
      meaning: 'Warning: something in the .ovf was not understood and was ignored.',
    },
    'fetch.manifest-unread': {
      meaning:
        'Warning: the manifest has lines that are not digests; the files that they stand for were not checked.',
    },
    'fetch.several-vms': { meaning: 'More than one VM in one drop. Use one directory for each.' },
    'fetch.too-many-files': { meaning: 'More files than any VM has. Drop one VM at a time.' },
    'fetch.digest-mismatch': {
      meaning: "A file does not match the OVF's manifest: it was damaged or changed in transit.",
    },
    'fetch.refused-reference': {
      meaning:
        'The image refers to the network or to a file outside its own directory. An image may only name files beside it.',
    },
    'fetch.bomb': {
      meaning:
        'A compressed drop unpacks to far more data than any disk would. If it is genuine, unpack it yourself or raise `fetch.max_expansion`.',
    },
    'fetch.refused-name': { meaning: 'The name of a file in the drop is not UTF-8. Rename it.' },
    'fetch.refused-special': { meaning: 'A symbolic link, FIFO, device or hard link. Drop regular files.' },
    'flatten.too-large': { meaning: 'The virtual size exceeds `flatten.max_virtual_size_gib`.' },
    'flatten.chain-too-deep': { meaning: 'More snapshots than `flatten.max_chain_depth`. Consolidate them.' },
    'flatten.unreadable': {
      meaning: 'QEMU cannot open the image; the message has its reason. Export the disk again.',
    },
    'flatten.size-mismatch': { meaning: 'QEMU and the header disagree on the size. Export the disk again.' },
    'flatten.path-unusable': {
      meaning: 'The path of the work directory is too long or contains quotes. Shorten `spool.work`.',
    },
    'source.unknown-type': {
      meaning: "The job's `[source] type` names a source that this version does not have.",
    },
    'source.changed': {
      meaning:
        'The drop was written to during the conversion, or before it was archived. Wait for the copy to finish, or copy to `.part` and rename.',
    },
    'source.open-for-writing': {
      meaning:
        'A file of the drop was open for writing, or was opened for writing, during the conversion. Nothing was delivered. Wait until nothing writes to it, then run `hyper2kvm retry`.',
    },
    'spool.drop-changed': {
      meaning: 'The drop changed while it was being claimed. Nothing was moved; the daemon tries again.',
    },
    'spool.incoming-gone': {
      meaning:
        'The incoming directory was unmounted during a claim. Mount it again: the claim will then be finished.',
    },
    'spool.unreadable': {
      meaning:
        'A file or directory in incoming cannot be read: no permission (`lost+found`, a private directory), a path over 4,096 bytes, a storage error. It stays where it is and does not affect other drops. `chmod -R g+rX` it, or move it away.',
    },
    'spool.too-large': {
      meaning:
        "A directory in incoming has more than 50,000 entries or is nested more than 64 deep. Leave only one VM's files in it.",
    },
    'spool.too-slow': {
      meaning:
        'Examining a drop took longer than its limit (10 s). Check its filesystem; the daemon tries again every ten minutes.',
    },
    'spool.not-permitted': {
      meaning:
        'The daemon may not move the drop out of incoming, or the contents of one of its directories. `chmod -R g+w` the directory, or use the ACL of `systemd/hyper2kvm.tmpfiles.conf`.',
    },
  },
  guest: {
    'inspect.no-os': {
      meaning: 'No operating system on any filesystem. A data disk needs `kind = "data"`.',
    },
    'plan.sector-size': {
      meaning:
        'A disk with sectors of 4096 bytes (4Kn) needs virtio disks, and the guest has no driver for them.',
    },
    'plan.unsupported-system': {
      meaning:
        'The guest is a system that hyper2kvm has no changes for (FreeBSD, a root on ZFS, ostree, NixOS and others; the message names it). `fix.mode = "none"` converts it as it is: see [formats.md](formats.md#other-systems).',
    },
    'inspect.windows-unsupported': { meaning: 'Windows guests are not converted by this version.' },
    'inspect.encrypted': {
      meaning:
        'The system is inside LUKS. Give its key with `guest.luks`, decrypt it first, or use `kind = "data"`.',
    },
    'inspect.luks-key-unreadable': { meaning: 'A key file of `guest.luks` cannot be read.' },
    'inspect.luks-device': {
      meaning:
        '`guest.luks` names a device that is not a LUKS container of this VM; the message lists those that it has.',
    },
    'inspect.luks-key': { meaning: 'The key does not open the container.' },
    'inspect.duplicate-uuid': {
      meaning:
        'Two disks of the VM hold copies of its system, and its fstab names it by something that both share, so it is undefined which of them boots. Drop the VM without the copy, or give the copy other UUIDs. LVM snapshots and the devices of one btrfs do not count as copies.',
    },
    'inspect.no-kernel': {
      meaning:
        "A Linux system without a kernel in /boot: a disk is missing, or this is a container's filesystem.",
    },
    'inspect.unmountable': {
      meaning: 'A filesystem is damaged. Shut the VM down cleanly on the old hypervisor and export it again.',
    },
    'inspect.duplicate-vg': {
      meaning:
        'Two LVM volume groups of the VM have the same name, so LVM activates neither, and no system was found outside of them. Rename one in the guest (`vgrename UUID NEWNAME`), or drop the VM without the disk that does not belong to it.',
    },
    'inspect.too-many-volumes': {
      meaning:
        'The VM has more than 512 partitions and volumes. Convert it with `kind = "data"`, or remove snapshots and old volumes in the guest.',
    },
    'guest.too-slow': {
      meaning:
        'Reading the guest\'s configuration took longer than its limit (three minutes; ten for an initramfs): it is damaged or hostile. `fix.mode = "none"` converts the VM as it is.',
    },
    'guest.too-complex': {
      meaning:
        'Reading the guest\'s configuration took more memory than its limit: it is damaged or hostile. `fix.mode = "none"` converts the VM as it is.',
    },
    'plan.too-large': {
      meaning:
        'The plan has more than 16 MiB of text; no real guest needs that. `fix.mode = "none"` converts the VM as it is.',
    },
    'inspect.too-many-kernels': {
      meaning: 'More than 100 installed kernels, or 200 initramfs files. Remove old ones in the guest.',
    },
    'inspect.unknown-architecture': {
      meaning: "Cannot determine the guest's architecture: none of the usual programs is there.",
    },
    'inspect.configuration-too-large': {
      meaning: 'More than 48 MiB under /etc and /boot: the guest is damaged or hostile.',
    },
    'plan.unsupported-architecture': {
      meaning:
        'The guest\'s programs are for a processor that hyper2kvm does not support; it supports x86 and aarch64. `kind = "data"` converts only the disks.',
    },
    'plan.root-unresolved': {
      meaning:
        "The boot loader's root= names a disk that cannot be identified: use `root=UUID=`, or drop all disks together. Or its kernel is started without an initramfs, and the root has no PARTUUID that the kernel supports.",
    },
    'plan.duplicate-uuid': {
      meaning:
        "The system's disk has a copy in the same VM, with the same UUIDs and PARTUUIDs, and is named by its position, so no name tells them apart.",
    },
    'plan.too-many-disks': {
      meaning: "The guest's kernels can only start from IDE disks, and a VM has at most four of those.",
    },
    'plan.fstab-unresolved': {
      meaning:
        '/etc/fstab names a disk that cannot be identified, for a mount without which the guest does not boot.',
    },
    'plan.uefi-no-loader': {
      meaning:
        'The ESP has no known boot loader. Run `grub-install --removable` in the guest, or set `vm.firmware = "bios"`.',
    },
    'plan.initramfs-unreadable': { meaning: 'The initramfs cannot be listed, and cannot be rebuilt either.' },
    'plan.network-dhcp': {
      meaning: '`fix.network = "dhcp"` is not supported for this guest\'s network tool. Use `keep`.',
    },
    'plan.not-readable': {
      meaning:
        'The plan must write a file, but something other than a small text file is in its place. Check it in the guest.',
    },
    'fix.unexpected-file': {
      meaning: 'A file that should be created already exists. It is not overwritten; please report this.',
    },
    'fix.unproven': {
      meaning: "A changed file differs from the plan after writing. The guest's filesystem may be damaged.",
    },
    'fix.initramfs-unproven': {
      meaning:
        'The initramfs does not list the drivers after the change. Try `fix.initramfs = "rebuild"` (or `"append"`).',
    },
    'fix.initramfs-changed': {
      meaning: 'The initramfs is not the one that INSPECT listed. `retry --from inspect`.',
    },
    'fix.rebuild-failed': { meaning: "The guest's own initramfs tool failed; the message has its output." },
    'fix.packages-failed': {
      meaning:
        "The guest's package manager did not install qemu-guest-agent; the message has its output. Usually a dependency is missing from the directory.",
    },
    'fix.packages-changed': { meaning: 'A package was changed after PLAN. `retry --from plan`.' },
    'plan.packages-unreadable': { meaning: '`fix.guest_agent_packages` cannot be read.' },
    'fix.guest-full': { meaning: 'No space left in the guest. Free some there.' },
    'validate.content-differs': {
      meaning:
        'A data disk differs from its source after CONVERT: check the storage, then run `hyper2kvm retry JOB --from convert`.',
    },
    'convert.unsupported-option': {
      meaning:
        '`convert.format` does not support another `[convert]` option. Reported before anything is read.',
    },
    'convert.wrong-size': {
      meaning: 'The written disk does not have the expected size. Retried from CONVERT.',
    },
    'convert.check-failed': {
      meaning: '`qemu-img check` found errors in the new image: check the storage under `spool.work`.',
    },
  },
  tools: {
    'guest.launch-failed': { meaning: 'The libguestfs appliance did not start. Run `hyper2kvm doctor`.' },
    'guest.filesystem-too-new': {
      meaning:
        'A filesystem has features that the kernel of this host, which the appliance runs, does not support (a new XFS, ext4 or btrfs). It is not damaged: convert the VM on a host with a newer kernel.',
    },
    'guest.call-failed': { meaning: "A call into the guest failed; the message has libguestfs' own." },
    'guest.timeout': {
      meaning:
        'A call took longer than `guest.timeout_seconds`: the host is overloaded or the filesystem damaged.',
    },
    'guest.died': { meaning: 'The appliance process died.' },
    'guest.cpio-corrupt': { meaning: "The guest's initramfs is damaged." },
    'guest.unified-image': {
      meaning: 'A unified kernel image is damaged, or was not the one that INSPECT read.',
    },
    'guest.bcd-incomplete': {
      meaning: 'The file is a registry hive, but not a boot configuration store: it has no boot manager.',
    },
    'guest.hive-corrupt': {
      meaning: 'A registry hive of the guest is damaged, or its file is not a hive.',
      advice:
        'Start the guest where it is and let Windows repair it (or restore the hive from a backup), shut it down cleanly, and drop it again.',
    },
    'guest.hive-dirty': {
      meaning:
        "The guest was stopped while it wrote a registry hive, and the hive's logs do not complete it.",
      advice: 'Start the guest where it is, shut it down cleanly (not into hibernation), and drop it again.',
    },
    'guest.hive-unsupported': {
      meaning: 'A registry hive of the guest has a version that is not known: not Windows NT 4 to 11.',
    },
    'windows.virtio-win-unreadable': {
      meaning: '`windows.virtio_win` cannot be read: it does not exist, or the daemon may not read it.',
      advice: 'Give the path of the virtio-win ISO, its content, or /usr/share/virtio-win of the RPM.',
    },
    'windows.virtio-win-invalid': {
      meaning: '`windows.virtio_win` is not a virtio-win package, or is damaged; the message says why.',
      advice:
        'Get the ISO again and compare its checksum. `hyper2kvm doctor` shows what a package has for which Windows.',
    },
    'windows.no-7zip': {
      meaning: 'The virtio-win ISO is read by 7-Zip, which is not installed.',
      advice: 'apt install p7zip-full, or give the content of the ISO as a directory.',
    },
    'guest.inf-invalid': {
      meaning: "A driver package's INF file is damaged, or is not an INF file. Get the package again.",
    },
    'guest.pe-invalid': {
      meaning: 'A Windows program or driver is damaged, or its file is not one. Get the file again.',
    },
    'guest.signature-invalid': {
      meaning: 'The signature of a Windows driver or its catalogue is damaged. Get the driver package again.',
    },
    'guest.appendix-path': { meaning: 'A driver is outside /lib/modules: the module index is damaged.' },
    'qemu.start': { meaning: 'QEMU did not start; the message has its output. Run `hyper2kvm doctor`.' },
    'qmp.connect': { meaning: "QEMU's monitor does not answer: the host is overloaded, or QEMU died." },
    'qmp.timeout': { meaning: "QEMU's monitor does not answer: the host is overloaded, or QEMU died." },
    'qmp.closed': { meaning: "QEMU's monitor does not answer: the host is overloaded, or QEMU died." },
    'qmp.refused': { meaning: 'QEMU refused a command, or sent no QMP: it may not be the expected QEMU.' },
    'qmp.protocol': { meaning: 'QEMU refused a command, or sent no QMP: it may not be the expected QEMU.' },
    'hook.failed': {
      meaning:
        'A program of `[[pipeline.hooks]]` did not exit with 0, or took too long; the message has the last lines of its stderr. Fix it, then `retry`.',
    },
    'hook.timeout': {
      meaning:
        'A program of `[[pipeline.hooks]]` did not exit with 0, or took too long; the message has the last lines of its stderr. Fix it, then `retry`.',
    },
    'notify.refused': {
      meaning:
        'In the daemon’s log only: a receiver of `[notify]` did not accept a notification, does not answer, or its `secret_file` cannot be used. Delivery is retried; no job is affected.',
    },
    'notify.unreachable': {
      meaning:
        'In the daemon’s log only: a receiver of `[notify]` did not accept a notification, does not answer, or its `secret_file` cannot be used. Delivery is retried; no job is affected.',
    },
    'notify.secret': {
      meaning:
        'In the daemon’s log only: a receiver of `[notify]` did not accept a notification, does not answer, or its `secret_file` cannot be used. Delivery is retried; no job is affected.',
    },
    'api.metrics': {
      meaning: 'The daemon cannot listen on `metrics.listen`, usually because another program uses the port.',
    },
    'extra.failed': {
      meaning: 'A stage of `[[pipeline.extra]]` failed without a code of its own, or its result is not JSON.',
    },
    'extra.output': {
      meaning: 'A stage of `[[pipeline.extra]]` failed without a code of its own, or its result is not JSON.',
    },
    'tool.timeout': { meaning: 'A tool hung or was killed (out of memory?). Retried automatically.' },
    'tool.killed': { meaning: 'A tool hung or was killed (out of memory?). Retried automatically.' },
    'tool.failed': { meaning: 'A tool failed; the message has the end of its output.' },
    'tool.not-started': { meaning: 'A tool is missing or not executable. Run `hyper2kvm doctor`.' },
    'tool.output-flood': { meaning: 'A tool printed endlessly and was killed.' },
  },
  host: {
    'host.enospc': { meaning: 'Disk or quota full. Free some space; the job continues automatically.' },
    'host.edquot': { meaning: 'Disk or quota full. Free some space; the job continues automatically.' },
    'host.no-space': {
      meaning:
        'The job does not fit on the filesystem even if nothing else uses it; the message says what it needs, what is free and the total. Use a larger filesystem for `spool.work` (or `archive`), or a smaller output.',
    },
    'host.waits-for-space': {
      meaning: 'In the log only: the job is queued until other jobs have ended or you free some space.',
    },
    'host.emfile': { meaning: 'Too many open files. Raise `LimitNOFILE`.' },
    'host.enfile': { meaning: 'Too many open files. Raise `LimitNOFILE`.' },
    'host.eagain': { meaning: 'The host is out of processes or memory.' },
    'host.enomem': { meaning: 'The host is out of processes or memory.' },
    'host.eio': { meaning: 'The storage reported an error: see the kernel log.' },
    'host.erofs': { meaning: 'The filesystem is read-only.' },
    'host.ebusy': { meaning: 'Something else holds a file or the database. Retried automatically.' },
    'host.eacces': { meaning: "Permission denied. Run `hyper2kvm doctor` as the daemon's user." },
    'host.eperm': { meaning: "Permission denied. Run `hyper2kvm doctor` as the daemon's user." },
  },
  daemon: {
    'daemon.already-running': {
      meaning: 'Another daemon is already using this spool or database; the message names it.',
    },
    'daemon.directory': {
      meaning: 'A directory cannot be used. Run `systemd-tmpfiles --create hyper2kvm.conf`.',
    },
    'daemon.stopping': { meaning: 'The daemon is stopping; the job resumes at the next start.' },
    'queue.unusable': { meaning: 'The database cannot be opened.' },
    'queue.newer-schema': { meaning: 'The database was written by a newer version. Upgrade.' },
    'queue.lease-lost': {
      meaning:
        'The job was given to another worker while this one was still running it; anything that this one still writes is refused. No action is needed.',
    },
    'queue.source-gone': {
      meaning: "The VM's source is no longer in `failed/` or `work/`. Drop it again.",
      http: 409,
    },
    'queue.unknown-job': {
      meaning:
        'In `reason.json` of a directory `…-recovered`: the database was restored from a backup and has no result for this drop. Drop its `source/` again.',
    },
    'job.cancelled': { meaning: 'Cancelled by `hyper2kvm cancel` or by interrupting `convert`.' },
    'job.crash-loop': {
      meaning:
        'The daemon died three times in the same stage of this job. Find out what killed it (out of memory?), then run `hyper2kvm retry`.',
    },
    'report.source-twice': {
      meaning: 'The source exists in two places. Nothing was deleted: keep the right one and retry.',
    },
    'report.libguestfs-missing': { meaning: 'libguestfs cannot be loaded. `apt install libguestfs0`.' },
    'internal.unexpected': { meaning: 'A bug. Report it with the job log.' },
    'internal.stage-input': { meaning: 'A bug. Report it with the job log.' },
    'internal.stage-output': { meaning: 'A bug. Report it with the job log.' },
  },
  commands: {
    'usage.invalid': { meaning: 'Wrong usage (exit code 2).' },
    'config.missing': { meaning: 'The configuration file cannot be read (exit code 2).' },
    'config.unreadable': { meaning: 'The configuration file cannot be read (exit code 2).' },
    'config.extra-stage': {
      meaning: 'A module of `[[pipeline.extra]]` cannot be loaded or does not export a stage (exit code 2).',
    },
    'config.syntax': {
      meaning: 'The file, a variable or a flag is wrong; each line names its place (exit code 2).',
    },
    'config.unknown-key': {
      meaning: 'The file, a variable or a flag is wrong; each line names its place (exit code 2).',
    },
    'config.invalid-value': {
      meaning: 'The file, a variable or a flag is wrong; each line names its place (exit code 2).',
    },
    'job-options.unreadable': { meaning: 'The same for a job.toml or `--set`.', http: 400 },
    'job-options.syntax': { meaning: 'The same for a job.toml or `--set`.', http: 400 },
    'job-options.unknown-key': { meaning: 'The same for a job.toml or `--set`.', http: 400 },
    'job-options.invalid-value': { meaning: 'The same for a job.toml or `--set`.', http: 400 },
    'api.unreachable': { meaning: 'No daemon answers on the socket (exit code 1).' },
    'api.not-permitted': { meaning: 'Permission denied on the socket: join the group hyper2kvm.' },
    'api.socket': { meaning: 'The control socket cannot be created.' },
    'api.no-job': { meaning: 'No such job, more than one, or its log is gone.', http: 404 },
    'api.ambiguous': { meaning: 'No such job, more than one, or its log is gone.', http: 409 },
    'api.no-log': { meaning: 'No such job, more than one, or its log is gone.', http: 404 },
    'api.wrong-state': { meaning: "The job's state does not allow this.", http: 409 },
    'api.bad-request': {
      meaning: 'Client and daemon do not understand each other: different versions?',
      http: 400,
    },
    'api.no-route': {
      meaning: 'Client and daemon do not understand each other: different versions?',
      http: 404,
    },
    'api.bad-answer': { meaning: 'Client and daemon do not understand each other: different versions?' },
  },
  warnings: {
    'fstab.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
    },
    'crypttab.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
    },
    'boot.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
    },
    'boot.unified-image': {
      meaning:
        'The initramfs inside a unified kernel image could not be changed: the image is damaged, holds several profiles, or belongs to a kernel whose modules are gone.',
    },
    'boot.unified-signature': {
      meaning: 'A signed unified kernel image was changed: sign it again before enabling Secure Boot.',
    },
    'inspect.unread': {
      meaning:
        "A file that may need a change is a link to something outside the guest's system (a data filesystem, or nothing at all), or too large for a configuration file: check it in the guest.",
    },
    'inspect.snapshot': {
      meaning: 'A logical volume is a snapshot of the root. It is left alone; the root itself is converted.',
    },
    'fstab.duplicate-uuid': {
      meaning: 'fstab mounts data by a UUID or label that two filesystems have. The line was left unchanged.',
    },
    'inspect.skipped': {
      meaning: 'A filesystem, volume or mount that the VM can do without is damaged and was skipped.',
    },
    'boot.install-device': {
      meaning: "SUSE's /etc/default/grub_installdevice names a disk of the old hypervisor.",
    },
    'guest-agent.no-packages': { meaning: '`fix.guest_agent_packages` has no packages for this guest.' },
    'devices.no-virtio': { meaning: 'The kernel has no virtio drivers: the domain offers SATA and e1000.' },
    'devices.as-is': {
      meaning:
        '`fix.mode = "none"`: the guest\'s initramfs has no virtio drivers, so the domain offers SATA (IDE) and e1000.',
    },
    'plan.as-is': {
      meaning:
        'A system that nothing is changed in was converted with `fix.mode = "none"`: device names, network and guest tools stay as they were.',
    },
    'devices.transitional': {
      meaning:
        'A kernel predates virtio 1.0 (Linux 4.0): the domain offers transitional virtio devices, which are a little slower. After an upgrade of the guest, `virtio-transitional` may become `virtio` in its domain.',
    },
    'initramfs.unreadable': {
      meaning: 'An initramfs could not be listed and cannot be rebuilt: its kernel may not boot.',
    },
    'initramfs.none': { meaning: 'A kernel has no initramfs.' },
    'initramfs.no-tool': {
      meaning:
        'The guest has no tool that builds its initramfs: drivers were appended although a rebuild was requested.',
    },
    'units.unresolved': {
      meaning: 'A systemd unit names a disk that the VM does not have: check whether it is still needed.',
    },
    'units.device-name': {
      meaning:
        'A command or setting of a systemd unit names a disk by its name on the old hypervisor: use its UUID instead.',
    },
    'lvm.filter': { meaning: 'A filter or device line names disks of the old hypervisor.' },
    'mdadm.device': { meaning: 'A filter or device line names disks of the old hypervisor.' },
    'network.pinned': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
    },
    'network.order': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
    },
    'network.unknown-mac': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
    },
    'network.foreign-mac': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
    },
    'drivers.inf-invalid': { meaning: 'A driver package was passed over. Its INF file is damaged.' },
    'drivers.not-for-windows': {
      meaning: 'A driver package was passed over. Its INF file names no devices for this Windows.',
    },
    'drivers.incomplete': {
      meaning: 'A driver package was passed over. A file that its INF file names is missing.',
    },
    'drivers.wrong-machine': {
      meaning:
        'A driver package was passed over. Its driver is for another processor architecture, or is not a driver.',
    },
    'drivers.unsigned': {
      meaning: 'A driver package was passed over. Its driver or its package has no valid signature.',
    },
    'drivers.self-signed': {
      meaning:
        'A driver package was passed over. It is signed by a certificate that only itself vouches for: Windows would stop with 0xc0000428.',
    },
    'drivers.not-microsoft': {
      meaning:
        "A driver package was passed over. Its signer's certificates do not lead to a root of Microsoft that this Windows accepts.",
    },
    'drivers.catalogue-mismatch': {
      meaning:
        'A driver package was passed over. Its catalogue is damaged, or does not list one of its files.',
    },
    'drivers.name-conflict': {
      meaning:
        'A driver package was passed over. It has a file whose name another package needs for a different file.',
    },
    'drivers.no-storage': {
      meaning:
        'virtio-win has no disk driver (viostor) that this Windows would load; the message says why each folder was passed over. `hyper2kvm doctor` shows what the package has for which Windows.',
    },
    'drivers.no-network': {
      meaning: 'virtio-win has no network driver (NetKVM) that this Windows would install.',
    },
    'drivers.refused': {
      meaning: 'virtio-win has a driver for this Windows, but not one that it would load or install.',
    },
    'drivers.no-guest-agent': { meaning: 'virtio-win has no installer of the QEMU guest agent.' },
    'drivers.no-catalogue': {
      meaning:
        'A disk driver is signed and starts Windows, but its package is not: Windows cannot install or update it by itself.',
    },
    'drivers.cross-signed': {
      meaning:
        'A disk driver for Windows 10 or later is signed by its maker under a cross-certificate of Microsoft: Windows loads it only while Secure Boot is off. Get a newer virtio-win.',
    },
    'drivers.sha256': {
      meaning:
        'A disk driver is signed with SHA-256 and the guest is a Windows 7 or Server 2008 R2 without the update KB3033929: it would stop with 0xc0000428. Install the update before the conversion.',
    },
    'network.unreadable': {
      meaning:
        'A netplan file could not be changed: it is not valid YAML, has a merge key (which netplan does not support), or is too large for a configuration file. Check in the guest which network cards it matches.',
    },
  },
} as const satisfies Record<string, Record<string, CatalogueEntry>>;

export type CatalogueSection = keyof typeof SECTIONS;
type CodesOf<Section> = Section extends CatalogueSection ? keyof (typeof SECTIONS)[Section] : never;
export type ErrorCode = CodesOf<CatalogueSection> | `validate.${string}` | `host.${string}`;

export const CATALOGUE: Readonly<Record<CatalogueSection, Readonly<Record<string, CatalogueEntry>>>> =
  SECTIONS;

const ENTRIES: ReadonlyMap<string, CatalogueEntry> = new Map(
  Object.values(CATALOGUE).flatMap(Object.entries),
);

/**
 * Returns undefined for codes that are not in the catalogue: signatures, errno, and those of third-party
 * stages.
 */
export function catalogueEntry(code: string): CatalogueEntry | undefined {
  return ENTRIES.get(code);
}

/** The meaning of a code and what to do about it, declared once for all places that report it. Markdown. */
export interface CatalogueEntry {
  /** The general case; the error's own message has the details. */
  meaning: string;
  /** For every error of this code, unless the place that throws it knows better. */
  advice: string;
  /** HTTP status of the control socket's answer; 500 if absent. */
  http?: number;
}

/**
 * Every code of an error or warning, by section of docs/failures.md, whose tables are made from it. Two kinds
 * come from tables of their own: `validate.<signature>` of a failed boot, and `host.<errno>`. The compiler
 * refuses a code that is in none of them.
 */
const SECTIONS = {
  'boot-warnings': {
    'validate.missing-mounts': {
      meaning:
        'Lines of /etc/fstab (without `noauto` and `nofail`) are not mounted. An error where `validate.require` has `mounts`.',
      advice:
        'Check that every disk of the VM was in the drop; boot/serial.log has the errors of the mounts.',
    },
    'validate.missing-address': {
      meaning:
        'A static address of the guest’s network configuration is not up: the interface has another name, or its card is missing. An error where `validate.require` has `network`.',
      advice: 'Compare the interface names in boot/boot.json with the guest’s network configuration.',
    },
    'validate.no-address': {
      meaning:
        'The guest uses DHCP and got no address, although the boot test’s network has a DHCP server. An error where `validate.require` has `network`.',
      advice: 'Compare the interface names in boot/boot.json with the guest’s network configuration.',
    },
    'validate.failed-units': {
      meaning:
        'systemd units failed. A unit that needs the real network also fails in the boot test. An error where `validate.require` has `units`.',
      advice: 'See the messages of the units in boot/serial.log.',
    },
    'validate.not-reported': {
      meaning:
        'The guest did not report on itself: it has no systemd, or its unit did not finish in time. An error only where `validate.require` asks for something.',
      advice:
        'Only a guest with systemd reports. Set `validate.require = []` in its job.toml to accept the boot alone.',
    },
  },
  boot: {
    'validate.no-emulator': {
      meaning: 'This host has no QEMU for the guest’s architecture, so the boot was not tested.',
      advice:
        'Install it (`apt install qemu-system-x86`; for aarch64 guests `qemu-system-arm qemu-efi-aarch64`) and retry the job, or set `validate.required = false` to deliver the VM without this proof.',
    },
    'validate.no-uefi-firmware': {
      meaning: 'This host has no UEFI firmware for the VM, so the boot was not tested.',
      advice:
        'Install it (`apt install ovmf`; for aarch64 guests `qemu-efi-aarch64`) and retry the job, or set `validate.required = false` to deliver the VM without this proof.',
    },
    'validate.qemu-died': {
      meaning: 'QEMU exited during the boot; the message has its output. Retried automatically.',
      advice: 'Look for the out-of-memory killer in the kernel log; otherwise report this with the job log.',
    },
  },
  drop: {
    'fetch.unknown-format': {
      meaning: 'Not a disk image: no known header, partition table or filesystem.',
      advice:
        'Check that the file was exported and copied as a whole. For an empty or plain data disk put `kind = "data"` into its job.toml.',
    },
    'fetch.conflicting-format': {
      meaning: 'The name says one format, the content another.',
      advice: 'Rename the file to match its content.',
    },
    'fetch.truncated': {
      meaning: 'The file is incomplete: its header points beyond its end.',
      advice: 'Copy it again and compare its size and checksum with the original.',
    },
    'fetch.corrupt': {
      meaning: 'The file contradicts itself: it is damaged, or was made by a broken tool.',
      advice: 'Export or copy it again and compare checksums.',
    },
    'fetch.unsupported': {
      meaning: 'A variant that cannot be read: encrypted, or of an unknown version.',
      advice: 'Convert it with its own tools first; the message says which where one is known.',
    },
    'fetch.missing-parent': {
      meaning: 'A snapshot delta without its parent. A delta alone holds only what was changed.',
      advice: 'Drop the whole chain: the base disk and every delta.',
    },
    'fetch.unfinished': {
      meaning:
        'Beside the disk, or in its place, is what a copy or download leaves until it has ended (`.part`, `.aria2`, `.st`, `.lftp-pget-status` and the like).',
      advice: 'Let it end; if the disk is whole, remove that file.',
    },
    'fetch.split-file': {
      meaning: 'The disk was cut into files by split(1), 7-Zip or the like.',
      advice: 'Join them first: `cat web01.qcow2.* > web01.qcow2`.',
    },
    'fetch.missing-delta': {
      meaning:
        'The .vmsd or .vbox says that a snapshot froze this disk, but no delta in the drop builds on it: this is an old state.',
      advice:
        'Copy the deltas (`-000001.vmdk`, `Snapshots/{…}`) into the drop. To convert the state of the snapshot on purpose, leave the .vmsd or .vbox out.',
    },
    'fetch.parent-mismatch': {
      meaning: 'The parent was changed after the snapshot, or belongs to another VM.',
      advice: 'Copy both files again while the VM is off.',
    },
    'fetch.base-again': {
      meaning:
        'A delta was dropped for the base of a parked job, together with a disk that this base has already.',
      advice:
        'Drop only what the snapshot made since (`-000001.vmdk` and its extent), with the .vmx. To start over, `hyper2kvm cancel` the parked job and drop the whole VM.',
    },
    'fetch.missing-extent': {
      meaning: 'The descriptor names files that are not in the drop.',
      advice: 'Copy all of the disk’s files into the drop: the descriptor and every extent that it lists.',
    },
    'fetch.missing-descriptor': {
      meaning: 'A piece of a disk (`-flat`, `-s001`, `-delta`) without its descriptor.',
      advice:
        'Copy the descriptor into the drop: the small text file of the same name without `-flat`, `-s001` or `-delta`.',
    },
    'fetch.missing-disk': {
      meaning: 'The .vmx or .ovf names a disk that is not in the drop.',
      advice: 'Copy all disks of the VM into the drop, or remove the disk from the description.',
    },
    'fetch.no-disk': {
      meaning: 'The dropped directory contains no disk image.',
      advice: 'Put the disk’s files into the directory, with their usual endings (.vmdk, .qcow2, .img).',
    },
    'fetch.empty': {
      meaning: 'The drop contains no files.',
      advice: 'Copy the disk into it and drop it again.',
    },
    'fetch.several-leaves': {
      meaning: 'Two newest states of the same disk.',
      advice: 'Add the VM’s .vmx, which says which one is in use, or drop only the chain that you want.',
    },
    'fetch.unknown-configuration': {
      meaning: 'The OVF has no deployment option of the name that `vm.configuration` asks for.',
      advice: 'Set `vm.configuration` to one that the OVF has, or leave it out.',
    },
    'fetch.suspended': {
      meaning:
        'Warning: the drop has the memory of a suspended VM (`.vmss`, `.sav`), which is not converted.',
      advice: 'Resume the VM and shut it down, or take what is on its disks.',
    },
    'fetch.description-unread': {
      meaning: 'Warning: something in the .ovf was not understood and was ignored.',
      advice: 'Compare memory, CPUs and network cards of the new VM with the old one.',
    },
    'fetch.manifest-unread': {
      meaning:
        'Warning: the manifest has lines that are not digests; the files that they stand for were not checked.',
      advice: 'Export the VM again to have every file checked.',
    },
    'fetch.several-vms': {
      meaning: 'More than one VM in one drop.',
      advice: 'Drop one directory for each VM.',
    },
    'fetch.too-many-files': {
      meaning: 'More files than any VM has.',
      advice: 'Drop only the files of one VM.',
    },
    'fetch.digest-mismatch': {
      meaning: 'A file does not match the OVF’s manifest: it was damaged or changed in transit.',
      advice:
        'Copy the export again. If the file was changed on purpose, remove the .mf file (for an OVA: make the archive again without it).',
    },
    'fetch.refused-reference': {
      meaning: 'The image refers to the network or to a file outside its own directory.',
      advice:
        'Only files of the drop are read, whatever their original paths: copy the file into the drop under the same name.',
    },
    'fetch.bomb': {
      meaning: 'A compressed drop unpacks to far more data than any exported disk would.',
      advice: 'If it is genuine, unpack it and drop the disk, or raise the limit that the message names.',
    },
    'fetch.refused-name': {
      meaning: 'The name of a file in the drop is not UTF-8.',
      advice: 'Rename it (`convmv -f latin1 -t utf8 --notest FILE`), and drop it again.',
    },
    'fetch.refused-special': {
      meaning: 'A symbolic link, FIFO, device or hard link.',
      advice: 'Only regular files and directories are accepted: copy the disk itself into the drop.',
    },
    'flatten.too-large': {
      meaning: 'The virtual size exceeds `flatten.max_virtual_size_gib`.',
      advice: 'If the disk really is that large, raise `flatten.max_virtual_size_gib`.',
    },
    'flatten.chain-too-deep': {
      meaning: 'More snapshots than `flatten.max_chain_depth`.',
      advice: 'Consolidate the snapshots on the old hypervisor, or raise `flatten.max_chain_depth`.',
    },
    'flatten.unreadable': {
      meaning:
        'QEMU cannot open the image; the message has its reason. The image is damaged, or of a variant that QEMU does not know.',
      advice: 'Export it again, or convert it with its own tools first.',
    },
    'flatten.size-mismatch': {
      meaning: 'QEMU and the header disagree on the size: the header contradicts itself.',
      advice: 'Export the disk again.',
    },
    'flatten.path-unusable': {
      meaning:
        'The path of the work directory, or of the disk that `convert` was given, is too long or contains quotes or line ends.',
      advice: 'Use paths without quotes and of at most 400 bytes, for the disk and for `spool.work`.',
    },
    'source.unknown-type': {
      meaning: 'The job’s `[source] type` names a source that this version does not have.',
      advice: 'Use a type that this version has.',
    },
    'source.changed': {
      meaning: 'The drop was written to during the conversion, or before it was archived.',
      advice: 'Wait for the copy to finish, or copy to a name that ends in `.part` and rename it.',
    },
    'source.open-for-writing': {
      meaning:
        'A file of the drop was open for writing, or was opened for writing, during the conversion. Nothing was delivered.',
      advice: 'Wait until nothing writes to it, then run `hyper2kvm retry`, or drop it again.',
    },
    'spool.drop-changed': {
      meaning: 'The drop changed while it was being claimed. Nothing was moved.',
      advice: 'Nothing: the daemon tries again when the drop has settled.',
    },
    'spool.incoming-gone': {
      meaning: 'The incoming directory was unmounted during a claim.',
      advice: 'Mount it again: the claim is then finished.',
    },
    'spool.unreadable': {
      meaning:
        'A file or directory in incoming cannot be read: no permission (`lost+found`, a private directory), a path over 4,096 bytes, a storage error. It stays where it is and does not affect other drops.',
      advice: 'Let the daemon read it (`chmod -R g+rX`), or move it out of incoming.',
    },
    'spool.too-large': {
      meaning: 'A directory in incoming has more than 50,000 entries or is nested more than 64 deep.',
      advice: 'Leave only the files of one VM in it, or move it out of incoming.',
    },
    'spool.too-slow': {
      meaning: 'Examining a drop took longer than its limit (10 s).',
      advice:
        'Drop fewer files at once, or check the filesystem that they are on. The daemon tries again every ten minutes, and after a restart.',
    },
    'spool.not-permitted': {
      meaning: 'The daemon may not move the drop out of incoming, or the contents of one of its directories.',
      advice:
        '`chmod -R g+w` the directory, or give incoming the default ACL of `systemd/hyper2kvm.tmpfiles.conf`.',
    },
  },
  remote: {
    'remote.unreachable': {
      meaning: 'No connection to the server, or no answer of the fetching unit. Retried automatically.',
      advice: 'Check name, port and firewall from this host: `curl -I URL`.',
    },
    'remote.timeout': {
      meaning: 'The server did not answer in time, or stopped sending. Retried automatically.',
      advice: 'Check the load of the server and the network between.',
    },
    'remote.busy': {
      meaning: 'The server refuses more requests for now (429, 503). Retried after the time that it names.',
      advice: 'Lower `remote.parallel` or `remote.per_host` if it goes on.',
    },
    'remote.locked': {
      meaning:
        'A file of the VM is held by the VM itself, by a backup or by another task of vSphere. Retried automatically.',
      advice: 'Check that the VM is off and that no task runs on it, then `hyper2kvm retry` the job.',
    },
    'remote.interrupted': {
      meaning:
        'The transfer broke off, or the answer was not what was asked for. What has been landed stays, and the next attempt continues there.',
      advice: 'Nothing, if it passes. Otherwise look for a proxy between that cuts long transfers.',
    },
    'remote.connection-unknown': {
      meaning: 'The job.toml names a connection that the configuration does not have, or names none.',
      advice:
        'Use the name of one of `[[remote.connections]]`, or let the operator add one (docs/remote.md).',
    },
    'remote.not-allowed': {
      meaning:
        'The job.toml chooses a host, a setting of the connection or a file of this host, or the server redirects to a host that the connection does not name, or sends a file without its size or compressed.',
      advice:
        'Hosts and secrets are the operator’s: name a connection and a path on its server. For a redirect, add the host to `redirect_hosts` of the connection.',
    },
    'remote.secret-in-job': {
      meaning: 'The job.toml holds a password or a signed URL.',
      advice:
        'Remove it, and treat it as disclosed. The operator stores secrets as credentials (docs/remote.md).',
    },
    'remote.secret-unreadable': {
      meaning: 'The credential of the connection is missing, unusable, or readable by other users.',
      advice:
        'Store it in /etc/hyper2kvm/credentials/NAME, owned by root or the service, with mode 0600 or 0400.',
    },
    'remote.auth': {
      meaning:
        'The server does not accept the user, the credential or the signature (401, InvalidLogin, of S3 SignatureDoesNotMatch).',
      advice: 'Check the credential of the connection.',
    },
    'remote.permission': {
      meaning:
        'The server refuses the request (403 and other 4xx, NoPermission); the message has its answer, of vSphere also the privilege.',
      advice:
        'Give the connection’s user the right to read this file. For vSphere, docs/remote.md has the role.',
    },
    'remote.license': {
      meaning: 'The license of the host does not allow this request (RestrictedVersion).',
      advice: 'Connect to the vCenter in place of the host, or copy the VM’s files and drop them.',
    },
    'remote.expired': {
      meaning: 'The signed URL or token of the connection has expired.',
      advice: 'Store a new one as the credential, then `hyper2kvm retry` the job: it continues where it was.',
    },
    'remote.tls': {
      meaning:
        'The certificate of the server is not trusted; the message has the reason and its fingerprint.',
      advice:
        'Set `ca_file` to the CA’s certificate, or `fingerprint` after comparing it on the server itself.',
    },
    'remote.host-key': {
      meaning:
        'The SSH host’s key is not in `known_hosts` of the connection, or another one is: the host was set up anew, or somebody is in between.',
      advice:
        'Run `ssh-keyscan HOST`, compare its fingerprint (`ssh-keygen -lf`) with that on the host itself, then put the line into the file.',
    },
    'remote.tool-missing': {
      meaning: 'A program that this transport needs is not installed here.',
      advice: 'Install it; the message has its name.',
    },
    'remote.not-found': {
      meaning: 'The server has no such file or VM, or does not show it to this user.',
      advice:
        'Check `vm` of the job.toml: a path below the URL of the connection, or of vSphere the inventory path, the name or the id of a VM.',
    },
    'remote.ambiguous': {
      meaning: 'Several VMs have the name that the job.toml has.',
      advice: 'Use the inventory path or the id of one of them as `vm`.',
    },
    'remote.powered-on': {
      meaning: 'The VM is running or suspended, so that its disks are not in a state of rest.',
      advice:
        'Shut it down, or put `power = "shutdown"` into the job.toml, which asks its guest to do so (VMware Tools must run in it). Of Azure, deallocate it.',
    },
    'remote.datastore-unreadable': {
      meaning:
        'The VM or its datastore is not accessible, or the datastore has no files (vSAN, vVol) and the job.toml asks for them.',
      advice: 'Check the datastore and its host in the vSphere Client.',
    },
    'remote.unsupported-disk': {
      meaning:
        'A disk of the VM cannot be read: raw device mapping, encrypted, shared with other VMs, or independent on a datastore without files.',
      advice: 'Clone the VM to ordinary disks, and fetch the clone.',
    },
    'remote.source-changed': {
      meaning:
        'The VM changed on the server while it was being fetched, and files that are landed already belong to its earlier state.',
      advice: 'Make sure that nothing writes to it, then drop the job.toml again.',
    },
    'remote.left-behind': {
      meaning:
        'A warning of the log: a snapshot, or an access to a disk, that a job made on another host could not be undone yet. It is tried again, and the job has its result whatever comes of it.',
      advice: '`hyper2kvm remote release` tries it at once and shows what is left; the line has its id.',
    },
    'remote.truncated': {
      meaning:
        'A file on the server is shorter than the server itself says, or than the disk’s description: a copy that was not finished, or a full datastore.',
      advice: 'Check the file’s size on the server, and make the copy or export again.',
    },
    'remote.digest-mismatch': {
      meaning: 'A file does not have the SHA-256 that the job.toml names. It was removed again.',
      advice: 'Compare the digest on the server.',
    },
  },
  guest: {
    'inspect.no-os': {
      meaning: 'No operating system on any filesystem.',
      advice:
        'Put `kind = "data"` into the job.toml of a data disk; otherwise check that all disks of the VM were dropped.',
    },
    'plan.sector-size': {
      meaning:
        'A disk with sectors of 4096 bytes (4Kn) needs virtio disks, and the guest has no driver for them.',
      advice:
        'Install a kernel with virtio drivers in the guest, or copy its disk to one with sectors of 512 bytes.',
    },
    'plan.unsupported-system': {
      meaning:
        'The guest is a system that hyper2kvm has no changes for (FreeBSD, a root on ZFS, ostree, NixOS and others; the message names it).',
      advice: '`fix.mode = "none"` converts it without changes: see [formats.md](formats.md#other-systems).',
    },
    'inspect.bitlocker': {
      meaning: 'The system volume of Windows is encrypted, and no key opens it from outside.',
      advice:
        'Turn BitLocker off in the guest (Suspend is not enough) and wait until it is decrypted, or convert the disks with `kind = "data"`.',
    },
    'inspect.hive-unreadable': {
      meaning:
        'A registry file of Windows is not a regular file of a possible size, or is reached through a link (a junction).',
      advice: 'The filesystem may be damaged: run chkdsk in the guest, or convert with `kind = "data"`.',
    },
    'inspect.windows-root': {
      meaning: 'Windows is installed several times and `windows.root` does not say which one the VM starts.',
      advice: 'Name its filesystem in the job.toml: `windows.root = "/dev/sda2"`.',
    },
    'plan.windows-no-space': {
      meaning: 'The volume that Windows is on has less than 100 MiB free.',
      advice:
        'Delete what is not needed in the guest, or extend its volume, shut it down, and drop it again.',
    },
    'plan.windows-boot-store': {
      meaning:
        'The boot configuration of Windows starts another partition than the one with Windows: it would stop with 0xc000000e.',
      advice:
        'Check that all disks of the VM were dropped and that it starts where it is. `fix.mode = "none"` converts it as it is.',
    },
    'plan.windows-dynamic-disk': {
      meaning: 'Windows is on a dynamic disk (LDM), which cannot be changed offline.',
      advice:
        'Make the system disk a basic one, or convert the VM as it is with `fix.mode = "none"`, or its disks with `kind = "data"`.',
    },
    'plan.windows-hibernated': {
      meaning: 'Windows is hibernated: what is written to its disks would be lost or damage them.',
      advice:
        'Start the guest where it is, shut it down (`shutdown /s /f /t 0`), and drop it again. `fix.mode = "none"` and `kind = "data"` convert its disks as they are.',
    },
    'plan.windows-unsupported': {
      meaning: 'This Windows is for ARM64, or older than XP: nothing is known of what it needs on KVM.',
      advice:
        '`fix.mode = "none"` converts the VM as it is, with SATA disks and an e1000e network card; `kind = "data"` converts its disks alone.',
    },
    'inspect.encrypted': {
      meaning: 'The system is inside LUKS.',
      advice:
        'Give its key in the job.toml (`[[guest.luks]]` with `device = "/dev/sda3"` and `key_file = "root.key"`), decrypt the guest on the old hypervisor, or convert it with `kind = "data"`.',
    },
    'inspect.luks-key-unreadable': {
      meaning: 'A key file of `guest.luks` cannot be read.',
      advice:
        '`guest.luks.key_file` must be a regular file of at most 64 KiB: beside the disks for a job.toml of the drop, also an absolute path for the configuration.',
    },
    'inspect.luks-device': {
      meaning: '`guest.luks` names a device that is not a LUKS container of this VM.',
      advice: 'Set `guest.luks.device` to the container as the guest names it (`/dev/sda3`, `UUID=…`).',
    },
    'inspect.luks-key': {
      meaning: 'The key does not open the container.',
      advice:
        'Check `guest.luks`: `key_file` must hold exactly the bytes of a key or passphrase of this container.',
    },
    'inspect.duplicate-uuid': {
      meaning:
        'Two disks of the VM hold copies of its system, and its fstab names it by something that both share, so it is undefined which of them boots. LVM snapshots and the devices of one btrfs do not count as copies.',
      advice:
        'Drop the VM without the copied disk, or give the copy a UUID of its own in the guest (`tune2fs -U random`, `xfs_admin -U generate`, `btrfstune -u`, `vgimportclone`, `cryptsetup luksUUID`).',
    },
    'inspect.duplicate-vg': {
      meaning:
        'Two LVM volume groups of the VM have the same name, so LVM activates neither, and no system was found outside of them.',
      advice:
        'Rename one in the guest (`vgrename UUID NEWNAME`), or drop the VM without the disk that does not belong to it.',
    },
    'inspect.no-kernel': {
      meaning:
        'A Linux system without a kernel in /boot: a disk is missing, or this is a container’s filesystem, which cannot boot.',
      advice: 'Check that all disks of the VM were dropped and that its /etc/fstab mounts /boot.',
    },
    'inspect.unmountable': {
      meaning: 'A filesystem is damaged.',
      advice:
        'Start the VM on the old hypervisor, check the filesystem (`fsck`), shut it down cleanly, and export it again.',
    },
    'inspect.too-many-volumes': {
      meaning: 'The VM has more than 512 partitions and volumes.',
      advice: 'Convert it with `kind = "data"`, or remove snapshots and old volumes in the guest.',
    },
    'guest.too-slow': {
      meaning:
        'Reading the guest’s configuration took longer than its limit (three minutes; ten for an initramfs): it is damaged or hostile.',
      advice: 'Set `fix.mode = "none"` to convert the VM as it is.',
    },
    'guest.too-complex': {
      meaning: 'Reading the guest’s configuration took more memory than its limit: it is damaged or hostile.',
      advice: 'Set `fix.mode = "none"` to convert the VM as it is.',
    },
    'plan.too-large': {
      meaning:
        'The plan has more than 16 MiB of text. No real guest needs that: its configuration is damaged or hostile.',
      advice: 'Set `fix.mode = "none"` to convert the VM as it is.',
    },
    'inspect.too-many-kernels': {
      meaning: 'More than 100 installed kernels, or 200 initramfs files.',
      advice: 'Remove old kernels in the guest, and their copies on the ESP.',
    },
    'inspect.unknown-architecture': {
      meaning:
        'The guest’s architecture cannot be determined: neither /bin/sh nor systemd is a known ELF file.',
      advice: 'Check that all disks of the VM were dropped and that its root filesystem is not damaged.',
    },
    'inspect.configuration-too-large': {
      meaning:
        'More than 48 MiB or 200,000 files under /etc and /boot, or a single file larger than any real one: the guest is damaged or hostile.',
      advice:
        'Remove what does not belong under /etc and /boot in the guest, or convert it with `kind = "data"`.',
    },
    'plan.unsupported-architecture': {
      meaning:
        'The guest’s programs are for a processor that hyper2kvm does not support; it supports x86 and aarch64.',
      advice: 'Set `kind = "data"` in its job.toml to convert the disks alone.',
    },
    'plan.root-unresolved': {
      meaning:
        'The `root=` of the boot loader names a disk that cannot be identified. Or its kernel is started without an initramfs, and the root has no PARTUUID that the kernel supports.',
      advice:
        'Give the guest’s boot loader `root=UUID=…` before the conversion, or drop all disks of the VM together.',
    },
    'plan.duplicate-uuid': {
      meaning:
        'The system’s disk has a copy in the same VM, with the same UUIDs and PARTUUIDs, and is named by its position, so no name tells them apart.',
      advice:
        'Drop the VM without the copied disk, or give the copy a UUID of its own in the guest (`tune2fs -U random`, `xfs_admin -U generate`, `btrfstune -u`).',
    },
    'plan.too-many-disks': {
      meaning: 'The guest can only be started from IDE disks, and a VM has at most four of those.',
      advice:
        'Install a kernel with virtio or AHCI drivers in the guest, or give a virtio-win with viostor for this Windows; or drop only its system disks.',
    },
    'plan.devices-unsupported': {
      meaning: '`fix.devices` names a bus that machines of the guest’s architecture do not have.',
      advice: 'Set `fix.devices = "auto"`, or another bus.',
    },
    'plan.kernel-unknown': {
      meaning:
        '`fix.kernel` names a kernel that is not installed in the guest, or has no readable initramfs.',
      advice: 'Name one of the installed kernels by its version.',
    },
    'plan.fstab-unresolved': {
      meaning:
        '/etc/fstab names a disk that cannot be identified, for a mount without which the guest does not boot.',
      advice:
        'Replace the name by `UUID=` in the guest’s /etc/fstab before the conversion, or drop all disks of the VM together.',
    },
    'plan.uefi-no-loader': {
      meaning: 'The ESP has no known boot loader.',
      advice:
        'Run `grub-install --removable` in the guest, or set `vm.firmware = "bios"` if it boots that way.',
    },
    'plan.initramfs-unreadable': {
      meaning: 'The initramfs cannot be listed, and cannot be rebuilt either.',
      advice: 'Rebuild the initramfs in the guest, with virtio_pci and virtio_blk, before the conversion.',
    },
    'plan.initramfs-list': {
      meaning:
        'The initramfs loads a fixed list of modules (Red Hat’s nash, tiny-initramfs, genkernel), so appended drivers are never loaded, and the guest has no known tool to build it again.',
      advice:
        'Build the initramfs again in the guest with virtio_pci and virtio_blk in its list, before the conversion.',
    },
    'plan.network-dhcp': {
      meaning: '`fix.network = "dhcp"` is not supported for this guest’s network tool.',
      advice: 'Convert with `fix.network = "keep"` and change the addresses in the guest.',
    },
    'plan.not-readable': {
      meaning:
        'The plan must write a file, but a directory, a link to nowhere or a file far larger than any configuration is in its place.',
      advice: 'Check it in the guest: put a small text file there, or remove it.',
    },
    'fix.unexpected-file': {
      meaning:
        'Something else is where FIX would write: a file that INSPECT did not see, or a link that leads elsewhere. It is left as it is.',
      advice:
        'Send report.json and plan.json with a bug report; moving the file away in the guest helps until then.',
    },
    'fix.unproven': {
      meaning:
        'A changed file differs from the plan after writing. The guest’s filesystem may be damaged. Nothing was delivered.',
      advice: 'Send report.json and plan.json with a bug report.',
    },
    'fix.initramfs-unproven': {
      meaning: 'The initramfs does not list the drivers after the change.',
      advice: 'Retry with the other method: `hyper2kvm retry JOB --set fix.initramfs=rebuild`.',
    },
    'fix.initramfs-changed': {
      meaning: 'The initramfs is not the one that INSPECT listed.',
      advice: 'Retry from INSPECT: `hyper2kvm retry JOB --from inspect`.',
    },
    'fix.rebuild-failed': {
      meaning: 'The guest’s own initramfs tool failed; the message has its output.',
      advice:
        'Set `fix.initramfs = "append"`, which runs nothing of the guest, or repair the guest’s initramfs tool.',
    },
    'fix.packages-failed': {
      meaning: 'The guest’s package manager did not install qemu-guest-agent; the message has its output.',
      advice:
        'Put every package that it needs into the directory of `fix.guest_agent_packages`, or convert without that option.',
    },
    'fix.packages-changed': {
      meaning: 'A package was changed after PLAN.',
      advice: 'Retry from PLAN: `hyper2kvm retry JOB --from plan`.',
    },
    'fix.drivers-changed': {
      meaning:
        'A file of virtio-win, a batch file of `windows.first_boot_steps`, or hyper2kvm’s own program for the first boot was changed or removed after PLAN, which chose it by its content.',
      advice: 'Retry from PLAN: `hyper2kvm retry JOB --from plan`.',
    },
    'plan.packages-unreadable': {
      meaning: '`fix.guest_agent_packages` cannot be read.',
      advice: 'Set it to the absolute path of a directory that the daemon may read.',
    },
    'fix.guest-full': {
      meaning: 'No space left in the guest.',
      advice:
        'Free some space on the guest’s / and /boot on the old hypervisor (tens of MB are enough), then drop it again.',
    },
    'validate.content-differs': {
      meaning:
        'A data disk differs from its source after CONVERT: the storage under `spool.work`, or the source’s, is not reliable.',
      advice: 'Check the kernel log, then run `hyper2kvm retry JOB --from convert`.',
    },
    'convert.unsupported-option': {
      meaning:
        '`convert.format` does not support another `[convert]` option. Reported before anything is read.',
      advice: 'Change that option, or `convert.format`.',
    },
    'convert.wrong-size': {
      meaning: 'The written disk does not have the expected size: something truncated the output.',
      advice: 'Check the filesystem and its quota, then run `hyper2kvm retry`.',
    },
    'convert.check-failed': {
      meaning:
        '`qemu-img check` found errors in the new image: the storage under `spool.work` is not reliable.',
      advice: 'Check the kernel log, then run `hyper2kvm retry`.',
    },
  },
  tools: {
    'guest.launch-failed': {
      meaning: 'The libguestfs appliance did not start.',
      advice: 'Run `hyper2kvm doctor`: it launches what the appliance needs and says what is missing.',
    },
    'guest.call-failed': {
      meaning: 'A call into the guest failed; the message has the reason.',
      advice: 'Check the guest’s filesystems on the old hypervisor (`fsck`, free space).',
    },
    'guest.filesystem-too-new': {
      meaning:
        'A filesystem has features that the kernel of this host, which the appliance runs, does not support (a new XFS, ext4 or btrfs). It is not damaged.',
      advice: 'Convert the VM on a host with a newer kernel.',
    },
    'guest.timeout': {
      meaning:
        'A call took longer than `guest.timeout_seconds`: the host is overloaded or the filesystem damaged.',
      advice: 'Raise `guest.timeout_seconds`, or check the guest’s filesystem on the old hypervisor.',
    },
    'guest.died': {
      meaning: 'The appliance process died. Retried automatically.',
      advice: 'Look for the out-of-memory killer in the kernel log.',
    },
    'guest.cpio-corrupt': {
      meaning: 'The guest’s initramfs is damaged.',
      advice: 'Rebuild it in the guest, or set `fix.initramfs = "rebuild"`.',
    },
    'guest.unified-image': {
      meaning: 'A unified kernel image is damaged, or is not the one that INSPECT read.',
      advice:
        'Build the image again in the guest, with virtio_pci and virtio_blk in its initramfs, before the conversion.',
    },
    'guest.appendix-path': {
      meaning: 'A driver is outside /lib/modules.',
      advice: 'This is a bug in hyper2kvm: report it with plan.json.',
    },
    'qemu.start': {
      meaning: 'QEMU did not start; the message has its output.',
      advice: 'Run `hyper2kvm doctor`: it checks QEMU, the acceleration and the firmware files.',
    },
    'qmp.connect': {
      meaning: 'QEMU’s monitor does not answer: QEMU did not start, or the host is overloaded.',
      advice: 'Look at the QEMU messages in the job log.',
    },
    'qmp.timeout': {
      meaning: 'QEMU’s monitor does not answer: the host is overloaded, or QEMU hangs.',
      advice: 'Look at the QEMU messages in the job log.',
    },
    'qmp.closed': {
      meaning: 'QEMU ended.',
      advice: 'Look at the QEMU messages in the job log.',
    },
    'qmp.refused': {
      meaning: 'QEMU refused a command: it is of another version than expected.',
      advice: 'Run `hyper2kvm doctor`: it checks the version of QEMU.',
    },
    'qmp.protocol': {
      meaning: 'What answers as QEMU’s monitor sent something that is not QMP.',
      advice: 'Run `hyper2kvm doctor`: it checks the version of QEMU.',
    },
    'guest.bcd-incomplete': {
      meaning: 'The file is a registry hive, but not a boot configuration store: it has no boot manager.',
      advice: 'Repair the store in the guest (`bootrec /rebuildbcd`, `bcdboot`), and drop it again.',
    },
    'guest.hive-corrupt': {
      meaning: 'A registry hive of the guest is damaged, or its file is not a hive.',
      advice:
        'Start the guest where it is and let Windows repair it (or restore the hive from a backup), shut it down cleanly, and drop it again.',
    },
    'guest.hive-dirty': {
      meaning:
        'The guest was stopped while it wrote a registry hive, and the hive’s logs do not complete it.',
      advice: 'Start the guest where it is, shut it down cleanly (not into hibernation), and drop it again.',
    },
    'guest.hive-unsupported': {
      meaning: 'A registry hive of the guest has a version that is not known: not Windows NT 4 to 11.',
      advice: 'Check that the file is the guest’s own; please report it if it is.',
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
    'windows.first-boot-steps': {
      meaning:
        '`windows.first_boot_steps` is not a directory of batch files that can be used; the message says why.',
      advice:
        'Correct the setting or the files, then `hyper2kvm retry JOB`: see [windows-first-boot.md](windows-first-boot.md#steps-of-your-own).',
    },
    'windows.unpacker-missing': {
      meaning: 'The virtio-win ISO is read by 7-Zip, which is not installed.',
      advice: '`apt install p7zip-full`, or give the content of the ISO as a directory.',
    },
    'guest.inf-invalid': {
      meaning: 'A driver package’s INF file is damaged, or is not an INF file.',
      advice: 'Get the package again.',
    },
    'guest.pe-invalid': {
      meaning: 'A Windows program or driver is damaged, or its file is not one.',
      advice: 'Get the file again.',
    },
    'guest.signature-invalid': {
      meaning: 'The signature of a Windows driver or its catalogue is damaged.',
      advice: 'Get the driver package again.',
    },
    'hook.failed': {
      meaning:
        'A program of `[[pipeline.hooks]]` did not exit with 0; the message has the last lines of its stderr.',
      advice: 'Fix the program, then run `hyper2kvm retry`: the job continues at this stage.',
    },
    'hook.timeout': {
      meaning:
        'A program of `[[pipeline.hooks]]` took longer than its `timeout_seconds`; the message has the last lines of its stderr.',
      advice: 'Fix the program, then run `hyper2kvm retry`: the job continues at this stage.',
    },
    'notify.refused': {
      meaning:
        'In the daemon’s log only: a receiver of `[notify]` did not accept a notification. It is tried again; no job is affected.',
      advice: 'Check `url` and `secret_file` of the webhook; redirects are not followed.',
    },
    'notify.unreachable': {
      meaning:
        'In the daemon’s log only: a receiver of `[notify]` does not answer. It is tried again; no job is affected.',
      advice: 'Check the receiver, the name in its URL, and that this host may connect to it.',
    },
    'notify.secret': {
      meaning:
        'In the daemon’s log only: the `secret_file` of a receiver cannot be read. It is tried again; no job is affected.',
      advice: 'Let the daemon’s user read it.',
    },
    'api.metrics': {
      meaning: 'The daemon cannot listen on `metrics.listen`, usually because another program uses the port.',
      advice: 'Set `metrics.listen` to a free loopback port, or leave it empty.',
    },
    'extra.failed': {
      meaning: 'A stage of `[[pipeline.extra]]` failed without a code of its own.',
      advice: 'It is not part of hyper2kvm: see its module in `[[pipeline.extra]]` of the configuration.',
    },
    'extra.output': {
      meaning: 'The result of a stage of `[[pipeline.extra]]` is not JSON, so it cannot be its checkpoint.',
      advice: 'Report this to the author of its module.',
    },
    'tool.timeout': {
      meaning: 'A tool took longer than its limit. Retried automatically.',
      advice: 'Run `hyper2kvm doctor` to check the tools.',
    },
    'tool.killed': {
      meaning: 'A tool was killed. Retried automatically.',
      advice: 'Look for the out-of-memory killer in the kernel log.',
    },
    'tool.failed': {
      meaning: 'A tool failed; the message has the end of its output.',
      advice: 'Run `hyper2kvm doctor` to check the tools.',
    },
    'tool.not-started': {
      meaning: 'A tool is missing or not executable.',
      advice: 'Run `hyper2kvm doctor` to check the tools.',
    },
    'tool.output-flood': {
      meaning: 'A tool printed endlessly and was killed.',
      advice: 'Run `hyper2kvm doctor` to check the tools.',
    },
  },
  host: {
    'host.enospc': {
      meaning: 'The disk is full.',
      advice: 'Free some space; the job continues automatically.',
    },
    'host.edquot': {
      meaning: 'The quota is used up.',
      advice: 'Free some space; the job continues automatically.',
    },
    'host.no-space': {
      meaning:
        'The job does not fit on the filesystem even if nothing else uses it; the message says what it needs, what is free and the total.',
      advice:
        'Put that directory (`spool.work`, `spool.archive`) on a larger filesystem, or ask for a smaller output (`convert.preallocation = "off"`, fewer disks). Then run `hyper2kvm retry`.',
    },
    'host.waits-for-space': {
      meaning: 'In the log only: the job is queued because there is not enough space.',
      advice: 'The job continues automatically when other jobs have ended or when you free some space.',
    },
    'host.emfile': {
      meaning: 'The process has too many open files.',
      advice: 'Raise `LimitNOFILE`.',
    },
    'host.enfile': {
      meaning: 'The host has too many open files.',
      advice: 'Find out which program keeps them open.',
    },
    'host.eagain': {
      meaning: 'The host is out of a resource (processes, memory).',
      advice: 'Find out what uses it up. The job is tried again automatically.',
    },
    'host.enomem': {
      meaning: 'The host is out of memory.',
      advice: 'Find out what uses it up. The job is tried again automatically.',
    },
    'host.eio': {
      meaning: 'The storage reported an input/output error.',
      advice: 'Check the kernel log.',
    },
    'host.erofs': {
      meaning: 'The filesystem is read-only.',
      advice: 'Mount it writable, or set another directory.',
    },
    'host.ebusy': {
      meaning: 'Something else holds a file or the database.',
      advice: 'Find out what holds it (a backup of the database?). The job is tried again automatically.',
    },
    'host.eacces': {
      meaning: 'Permission denied.',
      advice: 'Run `hyper2kvm doctor` as the daemon’s user.',
    },
    'host.eperm': {
      meaning: 'Operation not permitted.',
      advice: 'Run `hyper2kvm doctor` as the daemon’s user.',
    },
  },
  daemon: {
    'daemon.already-running': {
      meaning: 'Another daemon is already using this spool or database; the message names it.',
      advice: 'Stop that one first (`systemctl stop hyper2kvm`), or give this one its own directories.',
    },
    'daemon.directory': {
      meaning: 'A directory cannot be used.',
      advice:
        'Create it for the daemon’s user: `systemd-tmpfiles --create hyper2kvm.conf`, or `mkdir` and `chown`.',
    },
    'daemon.stopping': {
      meaning: 'The daemon is stopping.',
      advice: 'Nothing: the job resumes at the next start.',
    },
    'queue.unusable': {
      meaning: 'The database cannot be opened.',
      advice: 'Check owner, permissions and free space of its directory; `hyper2kvm doctor` does.',
    },
    'queue.newer-schema': {
      meaning: 'The database was written by a newer version.',
      advice: 'Upgrade hyper2kvm, or start this version with another `state.database`.',
    },
    'queue.lease-lost': {
      meaning:
        'The job was given to another worker while this one was still running it; anything that this one still writes is refused.',
      advice: 'Nothing: the other run decides the job’s outcome.',
    },
    'queue.source-gone': {
      meaning: 'The VM’s source is no longer in `failed/` or `work/`.',
      advice: 'Drop the VM into incoming again.',
      http: 409,
    },
    'queue.unknown-job': {
      meaning:
        'In `reason.json` of a directory `…-recovered`: the database was restored from a backup and has no result for this drop.',
      advice:
        'Drop the VM into incoming again: its files are in that directory, under `source/` if the claim was complete.',
    },
    'job.cancelled': {
      meaning: 'Cancelled by `hyper2kvm cancel` or by interrupting `convert`. The source is untouched.',
      advice: '`hyper2kvm retry` starts it again.',
    },
    'job.crash-loop': {
      meaning: 'The daemon died three times in the same stage of this job.',
      advice:
        'Find out what killed it (`journalctl -u hyper2kvm`, the kernel log: out of memory?), then run `hyper2kvm retry`.',
    },
    'report.source-twice': {
      meaning: 'The source exists in two places. Nothing was deleted.',
      advice: 'Compare the two, keep the right one, and retry the job.',
    },
    'report.libguestfs-missing': {
      meaning: 'libguestfs cannot be loaded.',
      advice: 'Install it: `apt install libguestfs0`.',
    },
    'internal.unexpected': {
      meaning: 'A bug, or a condition that hyper2kvm does not know.',
      advice: 'Report it with the job log.',
    },
    'internal.stage-input': {
      meaning: 'A bug: a stage lacks what the ones before it should have left.',
      advice: 'Report it with the job log.',
    },
    'internal.stage-output': {
      meaning: 'A bug: the result of a stage is not of its own form.',
      advice: 'Report it with the job log.',
    },
  },
  commands: {
    'usage.invalid': {
      meaning: 'Wrong usage (exit code 2).',
      advice: 'See `hyper2kvm --help`, or `hyper2kvm COMMAND --help`.',
    },
    'config.missing': {
      meaning: 'The configuration file does not exist (exit code 2).',
      advice: 'Check the path, or leave out `--config` to use the defaults.',
    },
    'config.unreadable': {
      meaning: 'The configuration file cannot be read (exit code 2).',
      advice: 'Check the path and its permissions, or leave out `--config` to use the defaults.',
    },
    'config.extra-stage': {
      meaning: 'A module of `[[pipeline.extra]]` cannot be loaded or does not export a stage (exit code 2).',
      advice:
        '`pipeline.extra` must name an ES module whose default export is `{ name, version, run(context, input) }`.',
    },
    'config.syntax': {
      meaning: 'The file, a variable or a flag is not valid TOML; each line names its place (exit code 2).',
      advice: '`hyper2kvm config schema` lists every option, `hyper2kvm config check` checks a file.',
    },
    'config.unknown-key': {
      meaning:
        'The file, a variable or a flag has a key that does not exist; each line names its place and the nearest known key (exit code 2).',
      advice: '`hyper2kvm config schema` lists every option, `hyper2kvm config check` checks a file.',
    },
    'config.invalid-value': {
      meaning:
        'The file, a variable or a flag has a value that is not allowed; each line names its place (exit code 2).',
      advice: '`hyper2kvm config schema` lists every option, `hyper2kvm config check` checks a file.',
    },
    'job-options.unreadable': {
      meaning: 'A job.toml cannot be read.',
      advice:
        'A job.toml must be a small regular file that the daemon may read: `chmod g+r` it, or leave it out.',
      http: 400,
    },
    'job-options.syntax': {
      meaning: 'A job.toml or a `--set` is not valid TOML.',
      advice:
        'A job.toml may have the options of docs/configuration.md that a dropper may set, `kind`, and the tables `[vm]` and `[source]`.',
      http: 400,
    },
    'job-options.unknown-key': {
      meaning: 'A job.toml or a `--set` has a key that does not exist, or that only the operator may set.',
      advice:
        'A job.toml may have the options of docs/configuration.md that a dropper may set, `kind`, and the tables `[vm]` and `[source]`.',
      http: 400,
    },
    'job-options.invalid-value': {
      meaning: 'A job.toml or a `--set` has a value that is not allowed.',
      advice:
        'A job.toml may have the options of docs/configuration.md that a dropper may set, `kind`, and the tables `[vm]` and `[source]`.',
      http: 400,
    },
    'api.unreachable': {
      meaning: 'No daemon answers on the socket (exit code 1).',
      advice: 'Start it (`systemctl start hyper2kvm`), or give the `--config` that it runs with.',
    },
    'api.not-permitted': {
      meaning: 'Permission denied on the socket.',
      advice: 'Join the group hyper2kvm (`adduser $USER hyper2kvm`, then log in again), or use sudo.',
    },
    'api.socket': {
      meaning: 'The control socket cannot be created.',
      advice: 'Its directory must exist and be writable: `RuntimeDirectory=` of the unit makes it.',
    },
    'api.no-job': {
      meaning: 'No such job.',
      advice: '`hyper2kvm list` shows all of them.',
      http: 404,
    },
    'api.ambiguous': {
      meaning: 'More than one job fits.',
      advice: 'Give more of the id.',
      http: 409,
    },
    'api.no-log': {
      meaning: 'The log of the job is gone: it was moved away with its bundle.',
      advice: '`journalctl -u hyper2kvm` may still have the lines.',
      http: 404,
    },
    'api.wrong-state': {
      meaning: 'The job’s state does not allow this.',
      advice: '`hyper2kvm show` shows what the job is doing.',
      http: 409,
    },
    'api.bad-request': {
      meaning: 'The daemon does not accept the request.',
      advice: 'See the protocol in docs/architecture.md.',
      http: 400,
    },
    'api.no-route': {
      meaning: 'The daemon does not know the request.',
      advice: 'Client and daemon are of different versions: restart the daemon after an upgrade.',
      http: 404,
    },
    'api.bad-answer': {
      meaning: 'The client does not understand the daemon’s answer.',
      advice: 'See the daemon’s log: `journalctl -u hyper2kvm`.',
    },
  },
  live: {
    'live.host-key': {
      meaning:
        'The host’s SSH key is not in known_hosts, or is another one than there. Nothing was sent to the host; there is no option to go on without.',
      advice:
        'Compare the key with the host’s own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there), then add it to known_hosts, or give a file with it by --known-hosts.',
    },
    'live.login-refused': {
      meaning: 'The host did not accept the login: no key of this user is allowed there.',
      advice:
        'Give the user by --user and the private key by -i, or load the key into ssh-agent. Passwords are not asked for.',
    },
    'live.unreachable': {
      meaning: 'There is no SSH connection to the host; the message has ssh’s own.',
      advice: 'Check name, port and firewall with `ssh HOST true`.',
    },
    'live.not-root': {
      meaning: 'The login is not root, and sudo wants a password or does not allow it.',
      advice:
        'Log in as root (--user root), or allow the user to run sh by sudo without a password (NOPASSWD) for the time of the move.',
    },
    'live.connection-lost': {
      meaning:
        'The connection was cut. A plan changes nothing. An apply that had all its data goes on to its end on the host; otherwise it cleans up and nothing is changed.',
      advice: 'Run `hyper2kvm live HOST` again: it shows what is left to do.',
    },
    'live.plan-changed': {
      meaning:
        'The plan is not the one that was approved: the host, the options or this program changed since. Nothing was changed.',
      advice: 'Read the new plan (`hyper2kvm live HOST`), and apply its digest.',
    },
    'live.changed': {
      meaning:
        'A file is not what it was when the plan was made, or when the backup was: somebody else changed it. It was not overwritten, and nothing else was changed.',
      advice:
        'Plan again. For a rollback: see the backup’s manifest.json and put the files back by hand, or run `sh restore --keep-changed` in it, which leaves the changed ones as they are.',
    },
    'live.no-space': {
      meaning:
        'A filesystem of the host has no room for the new files beside the old ones (for /boot: a second initramfs). Nothing was changed.',
      advice: 'Make room there, for example by removing old kernels, and plan again.',
    },
    'live.not-writable': {
      meaning:
        'A file or directory of the host cannot be written: it is immutable (`chattr +i`), the filesystem is read-only, or the directory for backups is not root’s alone. Nothing was changed.',
      advice: 'Look at it with `lsattr` and `findmnt` on the host, and plan again.',
    },
    'live.unfinished': {
      meaning:
        'An earlier apply was killed on the host. Each file is either the old or the new one; new files may lie beside them under hidden names.',
      advice: 'Run `hyper2kvm live HOST --rollback ID` with the ID of the message, which also removes those.',
    },
    'live.busy': {
      meaning: 'Another apply or rollback runs on this host.',
      advice: 'Wait until it has ended, and plan again.',
    },
    'live.backup-failed': {
      meaning:
        'A file cannot be copied with all that belongs to it (content, mode, owner, extended attributes, ACLs). Nothing was changed.',
      advice: 'The filesystem of /var/lib must support what the file’s own has; the message has cp’s reason.',
    },
    'live.unproven': {
      meaning:
        'A new file was written beside the old one and differs from the plan when it is read back. Nothing was changed.',
      advice: 'Check the host’s disk and its free space, and plan again.',
    },
    'live.undone': {
      meaning: 'A file could not be replaced. What was replaced before it was put back.',
      advice: 'The message has the reason; when it is gone, plan again.',
    },
    'live.half': {
      meaning:
        'A file could not be replaced, and the ones before it could not be put back. Each file is either the old or the new one, and the guest starts with both.',
      advice:
        'Run `hyper2kvm live HOST --rollback ID` with the ID of the message, or `sh /var/lib/hyper2kvm-live/ID/restore` on the host.',
    },
    'live.not-restored': {
      meaning:
        'A file of the backup could not be put back. If it could not even be copied beside the present one, nothing was changed; otherwise each file is either the old or the new one.',
      advice:
        'Make room on the file’s filesystem, or remove what the message names, and run the same rollback again.',
    },
    'live.no-backup': {
      meaning: 'The host has no backup of this ID.',
      advice: 'The IDs are the names in /var/lib/hyper2kvm-live on the host.',
    },
    'live.unsupported': {
      meaning:
        'This system cannot be prepared while it runs: it is not a Linux system whose changes are known, or its programs cannot do what is asked of them (busybox’s on Alpine). Nothing was changed.',
      advice:
        'Install the programs that the message names, or convert the disk without this: `hyper2kvm plan DISK` shows what is done to it.',
    },
    'live.hard-links': {
      meaning:
        'A warning: a file that is changed has other names (hard links), perhaps in other directories. Only the name in the plan gets the new content; the others keep the old one, and after a rollback it is a file of its own.',
      advice:
        'Find the other names on the host (`find / -xdev -samefile FILE`). Where they must stay the same file, link them again afterwards with `ln -f`.',
    },
    'live.left-out': {
      meaning:
        'A warning: something that the guest needs cannot be done while it runs, and is left to the conversion.',
      advice: 'Nothing; convert with fix.mode = "auto" (the default).',
    },
  },
  warnings: {
    'fstab.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
      advice: 'Replace the name by `UUID=` in the guest.',
    },
    'boot.other-kernel': {
      meaning: 'The boot loader’s default entry starts another kernel, because `fix.kernel` names it.',
      advice:
        'Repair the first kernel in the guest, then write the boot loader’s configuration again (`update-grub`).',
    },
    'boot.grub-search': {
      meaning:
        'GRUB’s configuration leads to another filesystem, because `fix.grub_search` names what it did not find.',
      advice: 'In the running guest, write GRUB’s configuration again (`update-grub`, `grub-install`).',
    },
    'fstab.nofail': {
      meaning: 'A line got `nofail` because `fix.nofail` names it: the guest starts without that device.',
      advice: 'Give the guest the device, or remove the line there.',
    },
    'crypttab.nofail': {
      meaning: 'A line got `nofail` because `fix.nofail` names it: the guest starts without that device.',
      advice: 'Give the guest the device, or remove the line there.',
    },
    'crypttab.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
      advice: 'Replace the name by `UUID=` in the guest.',
    },
    'boot.unresolved': {
      meaning:
        'A device name could not be identified; a data mount got `nofail`, other lines stay as they are.',
      advice: 'Replace the name by `UUID=` in the guest.',
    },
    'units.nofail': {
      meaning:
        'A mount or swap unit got `nofail` because `fix.nofail` names it: the guest starts without that device.',
      advice: 'Give the guest the device, or remove the unit there.',
    },
    'units.unresolved': {
      meaning: 'A systemd unit names a disk that the VM does not have.',
      advice: 'Check whether the unit is still needed.',
    },
    'units.device-name': {
      meaning: 'A command or setting of a systemd unit names a disk by its name on the old hypervisor.',
      advice: 'Use its UUID instead, in the guest.',
    },
    'boot.unified-image': {
      meaning:
        'The initramfs inside a unified kernel image could not be changed: the image is damaged, holds several profiles, or belongs to a kernel whose modules are gone.',
      advice: 'Build the image again in the guest, with virtio_pci and virtio_blk in its initramfs.',
    },
    'boot.unified-signature': {
      meaning: 'A signed unified kernel image was changed.',
      advice: 'Sign it again before enabling Secure Boot.',
    },
    'inspect.unread': {
      meaning:
        'A file that may need a change is a link to something outside the guest’s system (a data filesystem, or nothing at all), or too large for a configuration file.',
      advice: 'Check it in the guest.',
    },
    'inspect.snapshot': {
      meaning: 'A logical volume is a snapshot of the root. It is left alone; the root itself is converted.',
      advice: 'Remove it in the guest when it is not needed any more.',
    },
    'fstab.duplicate-uuid': {
      meaning: 'fstab mounts data by a UUID or label that two filesystems have. The line was left unchanged.',
      advice: 'Give one of them another UUID or label in the guest.',
    },
    'inspect.skipped': {
      meaning: 'A filesystem, volume or mount that the VM can do without is damaged and was skipped.',
      advice: 'Check it in the guest (`fsck`).',
    },
    'inspect.antivirus': {
      meaning: 'A program in Windows may block new drivers and services.',
      advice: 'Check its console after the move.',
    },
    'inspect.device-policy': {
      meaning: 'A group policy restricts which devices Windows installs.',
      advice: 'Take the guest out of that policy before the move.',
    },
    'inspect.dirty-volume': {
      meaning:
        'A volume of Windows was not shut down cleanly. It stays, or is, marked for chkdsk, which Windows runs at its next start. What was only in its journal is lost once FIX has written to the volume; with fix.mode = "none" nothing is changed.',
      advice: 'Shut the guest down cleanly and drop it again, if that is still possible.',
    },
    'inspect.dynamic-data-disk': {
      meaning: 'A data disk is a dynamic disk (LDM). It is converted unchanged.',
      advice: 'Import it in Disk Management if it is shown as foreign.',
    },
    'inspect.encrypted-volume': {
      meaning: 'A data volume is encrypted by BitLocker. It is converted unchanged.',
      advice: 'Keep its recovery key at hand for the first boot on KVM.',
    },
    'inspect.no-boot-store': {
      meaning: 'No boot configuration (BCD) of Windows was found, or it is damaged.',
      advice: 'Check that all disks of the VM were dropped.',
    },
    'inspect.no-sha2': {
      meaning: 'Windows 7 or Server 2008 R2 lacks KB3033929 and loads no driver with an SHA-2 signature.',
      advice: 'Install it before the move, or give drivers with SHA-1 signatures.',
    },
    'inspect.safe-boot': {
      meaning: 'Windows is set to start in safe mode.',
      advice: 'Turn that off before the move (`bcdedit /deletevalue safeboot`).',
    },
    'inspect.setup-running': {
      meaning: 'The setup of Windows, or its first boot, has not finished.',
      advice: 'Let it finish where the guest is, shut it down, and drop it again.',
    },
    'inspect.test-signing': {
      meaning: 'Windows is set to load drivers that Microsoft did not sign.',
      advice: 'Nothing needs to be done for the move; Secure Boot does not allow it.',
    },
    'windows.boot-volume': {
      meaning: 'Windows has no directory over which FIX could mount the partition with its boot files.',
      advice:
        'Make the directory `C:\\Windows\\Temp` in the guest and convert it again; or check that the ESP has `\\EFI\\Boot\\bootx64.efi`.',
    },
    'devices.windows-unchanged': {
      meaning: 'With `fix.mode = "none"` Windows gets SATA disks, or IDE before Vista, and may not start.',
      advice: 'See [windows.md](windows.md).',
    },
    'devices.windows-no-virtio': {
      meaning:
        'No virtio-win is configured: Windows gets SATA disks (IDE before Vista) and a card that it has a driver for, which are slower than virtio’s.',
      advice:
        'Set `windows.virtio_win` to virtio-win’s ISO or directory and convert again: see [windows.md](windows.md).',
    },
    'devices.windows-no-driver': {
      meaning: '`fix.devices` names devices that Windows has no driver for, and virtio-win has none.',
      advice:
        'Set `fix.devices = "auto"`, or give a virtio-win with a driver for this Windows: see [virtio-win.md](virtio-win.md).',
    },
    'devices.windows-tools-stay': {
      meaning: 'The VM has a vmxnet3 card, whose driver is a part of VMware Tools: they are not uninstalled.',
      advice:
        'Give a virtio-win with NetKVM for this Windows and convert again; or uninstall them once the VM has another card.',
    },
    'devices.windows-tpm-state': {
      meaning: 'The VM had a TPM (vTPM). No export has its content, so that the new VM’s TPM is empty.',
      advice:
        'Before the export: have other ways to sign in than Windows Hello, and export certificates whose keys are in the TPM. Afterwards set both up again. BitLocker’s recovery keys open data volumes.',
    },
    'devices.windows-cluster': {
      meaning: 'Windows is a node of a failover cluster, so new disks are not brought online by themselves.',
      advice: 'Bring those online that are the node’s own, in the disk management or with diskpart.',
    },
    'devices.windows-first-boot-too-large': {
      meaning: 'The first boot of Windows lacks steps with more than its program takes.',
      advice: 'Do by hand in the guest what the message names: `hyper2kvm plan` shows the rest.',
    },
    'devices.windows-first-boot-batch': {
      meaning:
        'The first boot is a batch file and not a program: without limits of time, and without what only a program can do.',
      advice: 'Look at its log.txt in \\Program Files\\hyper2kvm\\firstboot after the first boot.',
    },
    'devices.windows-no-first-boot': {
      meaning:
        'Windows XP and Server 2003 lack what the first boot works with (pnputil, netsh of Vista): they get none.',
      advice:
        'Once it has started, set the network card’s addresses, let Windows look for drivers in `\\Windows\\Drivers\\VirtIO`, and uninstall VMware Tools.',
    },
    'devices.windows-adapter-unknown': {
      meaning:
        'A network adapter has static addresses, and nothing tells to which card of the VM it belongs.',
      advice: 'Set its addresses by hand once it has started; `hyper2kvm inspect` shows them.',
    },
    'boot.install-device': {
      meaning:
        'SUSE’s /etc/default/grub_installdevice, or debconf’s grub-pc/install_devices, names a disk of the old hypervisor: the next update of GRUB would not install it.',
      advice: 'Change it in the guest before the next update of GRUB.',
    },
    'guest-agent.no-packages': {
      meaning: '`fix.guest_agent_packages` has no packages for this guest.',
      advice: 'Put them there, or install qemu-guest-agent in the guest.',
    },
    'boot.lilo': {
      meaning:
        'LILO’s map has the sectors of the kernel and initramfs, and the root, of its last run. The domain offers SATA, with which they work unchanged.',
      advice:
        'For virtio: set `root=` in /etc/lilo.conf to a UUID, add virtio_blk to the initramfs, run `lilo` in the guest, and then change the domain.',
    },
    'devices.unknown-kernel': {
      meaning:
        'No installed modules belong to a kernel, and no configuration file shows its built-in drivers. If it is the one that starts, the domain offers SATA and e1000e instead of virtio.',
      advice:
        'Remove kernels whose modules are gone; if the kernel has virtio built in, put its `config-VERSION` into /boot.',
    },
    'devices.rescue-kernel': {
      meaning:
        'The boot menu’s rescue image has a kernel from before virtio 1.0 (Linux 4.0): it does not find its disk on KVM. The entries that are started do.',
      advice:
        'Remove `/boot/*-0-rescue-*` in the guest: the next update of the kernel makes the image again, with its own kernel.',
    },
    'devices.no-virtio': {
      meaning: 'The kernel has no virtio drivers: the domain offers SATA and e1000.',
      advice: 'Install a kernel with virtio drivers in the guest for faster disks and network.',
    },
    'devices.as-is': {
      meaning:
        '`fix.mode = "none"`: the guest’s initramfs has no virtio drivers, so the domain offers SATA (IDE) and e1000.',
      advice: 'Without `fix.mode = "none"` the drivers are added.',
    },
    'plan.as-is': {
      meaning:
        'A system that nothing is changed in was converted with `fix.mode = "none"`: device names, network and guest tools stay as they were.',
      advice: 'Check them in the guest after its first boot.',
    },
    'devices.transitional': {
      meaning:
        'A kernel predates virtio 1.0 (Linux 4.0): the domain offers transitional virtio devices, which are a little slower.',
      advice: 'After an upgrade of the guest, `virtio-transitional` may become `virtio` in its domain.',
    },
    'initramfs.unreadable': {
      meaning: 'An initramfs could not be listed and cannot be rebuilt: its kernel may not boot.',
      advice: 'Rebuild it in the guest, with virtio_pci and virtio_blk.',
    },
    'initramfs.none': {
      meaning: 'A kernel has no initramfs.',
      advice: 'Build one in the guest before that kernel is started.',
    },
    'boot.driver-excluded': {
      meaning:
        'Configuration excluded a driver that the VM needs on KVM (dracut’s omit_drivers, modprobe.d, the kernel’s command line). The exclusion was removed; lines became comments.',
      advice: 'Check that nothing else in the guest puts it back.',
    },
    'boot.dracut-module': {
      meaning:
        'dracut’s configuration omits a module without which an initramfs has no drivers. It stays, because a kernel with all drivers built in needs none.',
      advice: 'Remove it from `omit_dracutmodules` in the guest unless that is so.',
    },
    'initramfs.list': {
      meaning:
        'An initramfs loads a fixed list of modules (Red Hat’s nash, tiny-initramfs, booster, genkernel) and cannot be built again: its kernel may not start. Another kernel does.',
      advice:
        'Build it again in the guest with virtio_pci and virtio_blk in its list, before that kernel is started.',
    },
    'initramfs.unknown-init': {
      meaning:
        'Drivers were appended to an initramfs with an unknown init, which may not load them. The boot test shows it.',
      advice: '`fix.initramfs = "rebuild"` builds it again if the guest has a tool for that.',
    },
    'initramfs.no-tool': {
      meaning:
        'The guest has no tool that builds its initramfs: drivers were appended although a rebuild was requested.',
      advice: 'Install the tool in the guest before its next kernel update.',
    },
    'lvm.filter-unread': {
      meaning:
        'A pattern in the guest’s lvm.conf is none that hyper2kvm can evaluate: whether it hides the disks of KVM is not known.',
      advice:
        'If the volume group is missing after the boot, replace the pattern in the guest by one for `/dev/disk/by-id` or remove it.',
    },
    'lvm.filter': {
      meaning: 'A filter or device line names disks of the old hypervisor.',
      advice: 'Change the line in the guest.',
    },
    'mdadm.device': {
      meaning: 'A filter or device line names disks of the old hypervisor.',
      advice: 'Change the line in the guest.',
    },
    'network.pinned': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
      advice: 'Check the interface names in the guest after its first start.',
    },
    'network.order': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
      advice: 'Check the interface names in the guest after its first start.',
    },
    'network.unknown-mac': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
      advice: 'Check the interface names in the guest after its first start.',
    },
    'network.foreign-mac': {
      meaning:
        'Interface names depend on something that may change, or it is unclear which of several cards one is; the message says which.',
      advice: 'Check the interface names in the guest after its first start.',
    },
    'cloud.new-instance': {
      meaning:
        'cloud-init is enabled and has no cached instance: at the next boot it sets the guest up as a new instance, with new SSH host keys.',
      advice: 'Create /etc/cloud/cloud-init.disabled in the guest to prevent it.',
    },
    'drivers.inf-invalid': {
      meaning: 'A driver package was passed over: its INF file is damaged.',
      advice: 'Get the virtio-win package again and compare its checksum.',
    },
    'drivers.not-for-windows': {
      meaning: 'A driver package was passed over: its INF file names no devices for this Windows.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.incomplete': {
      meaning:
        'A driver package was passed over: a file that its INF file names is missing, or the service of a disk driver is.',
      advice: 'Get the virtio-win package again and compare its checksum.',
    },
    'drivers.wrong-machine': {
      meaning:
        'A driver package was passed over: its driver is for another processor architecture, or is not a driver.',
      advice: 'Get the virtio-win package again and compare its checksum.',
    },
    'drivers.unsigned': {
      meaning: 'A driver package was passed over: its driver or its package has no valid signature.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.self-signed': {
      meaning:
        'A driver package was passed over: it is signed by a certificate that only itself vouches for. Windows would stop with 0xc0000428.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.not-microsoft': {
      meaning:
        'A driver package was passed over: the certificates of its signer do not lead to a root of Microsoft that this Windows accepts.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.catalogue-mismatch': {
      meaning:
        'A driver package was passed over: its catalogue is damaged, or does not list one of its files.',
      advice: 'Get the virtio-win package again and compare its checksum.',
    },
    'drivers.name-conflict': {
      meaning:
        'A driver package was passed over: it has a file whose name another package needs for a different file.',
      advice: 'Get the virtio-win package again and compare its checksum.',
    },
    'drivers.no-storage': {
      meaning:
        'virtio-win has no disk driver (viostor) that this Windows would load; the message says why each folder was passed over.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.no-network': {
      meaning:
        'virtio-win has no network driver (NetKVM) that this Windows would install; the message says why each folder was passed over.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.refused': {
      meaning:
        'virtio-win has a driver for this Windows, but not one that it would install; the message says why.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.no-guest-agent': {
      meaning: 'virtio-win has no installer of the QEMU guest agent for the architecture of the guest.',
      advice: 'Take the whole virtio-win ISO, or the RPM with its folder guest-agent.',
    },
    'drivers.no-catalogue': {
      meaning:
        'A disk driver is signed and starts Windows, but its package is not: Windows cannot install or update it by itself.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.cross-signed': {
      meaning:
        'A disk driver for Windows 10 or later is signed by its maker under a cross-certificate of Microsoft: Windows loads it only while Secure Boot is off.',
      advice:
        'Get a newer virtio-win package that has drivers for this Windows; `hyper2kvm doctor` shows what a package has.',
    },
    'drivers.unknown-digest': {
      meaning:
        'A disk driver is signed with SHA-256, and the guest is a Windows 7 or Server 2008 R2 without the update KB3033929: it would stop with 0xc0000428.',
      advice: 'Install the update in the guest before the conversion.',
    },
    'network.unreadable': {
      meaning:
        'A netplan file could not be changed: it is not valid YAML, has a merge key (which netplan does not support), or is too large for a configuration file.',
      advice: 'Check in the guest which network cards it matches.',
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

#!/bin/sh
# Makes a fresh Debian 12 with npm ready to run, test and (--bench) measure hyper2kvm: system packages, npm packages (Node 24 among them), build.
# Safe to run again; with nothing to do it takes about 0.2 s.
set -eu
cd "$(dirname "$0")/../.."

bench=no
for argument in "$@"; do
  case $argument in
    --bench) bench=yes ;;
    *) echo "usage: setup.sh [--bench]" >&2; exit 2 ;;
  esac
done

# One package a line: its name, then why.
packages() {
  cat <<'LIST'
qemu-utils            reads and writes disk formats (qemu-img)
qemu-system-x86       boots guests: the appliance and the boot test
ovmf                  UEFI firmware of the boot test
libguestfs0           opens the guest's filesystems
libguestfs-xfs        XFS in the guest
supermin              builds the libguestfs appliance
zstd                  initramfs compression
lz4                   initramfs compression
lzop                  initramfs compression
xz-utils              initramfs compression
bzip2                 initramfs compression
cpio                  reads initramfs archives in tests
bubblewrap            sandbox around the tools that read a dropped disk
util-linux            setpriv, prlimit, unshare: children that die with their parent, limits
mmdebstrap            builds the Debian guests of the lab
uidmap                builds them without being root
mtools                fills an EFI system partition
dosfstools            formats an EFI system partition
fdisk                 partitions the lab's disks (sfdisk)
gdisk                 checks their GPT
e2fsprogs             their filesystems (mke2fs -d)
xfsprogs              a spool over three filesystems in tests
grub-common           their boot loader (grub-mkimage)
grub-pc-bin           their boot loader, BIOS
grub-efi-amd64-bin    their boot loader, UEFI
systemd-container     runs the unit under a real systemd in tests
libxml2-utils         checks the domain XML
libvirt-clients       checks the domain XML against libvirt's schema
acl                   lets libvirt's QEMU into the delivered bundles (setfacl)
libvirt-daemon-system starts a delivered VM in tests
libvirt-daemon-config-network its network
dnsmasq-base          the network's addresses
iptables              the network's way out
sqlite3               looks into the queue in tests
patch                 applies plan.diff in tests
binutils              readelf: what the Debian package depends on
git                   names the commit of a result, lists the files of a copy
LIST
  # The appliance boots the newest kernel in /boot that has its modules; one that is there will do.
  has_kernel || echo "linux-image-amd64     kernel of the libguestfs appliance"
  [ "$bench" = no ] || echo "virt-v2v              the peer that the bench and the matrix measure against"
  [ "$bench" = no ] || echo "guestfs-tools         virt-inspector, which the matrix holds INSPECT against"
  [ "$bench" = no ] || echo "nbdkit                virt-v2v reads its source through it"
  [ "$bench" = no ] || echo "libnbd-bin            virt-v2v copies with its nbdcopy"
}

has_kernel() {
  for kernel in /boot/vmlinuz-*; do
    [ -e "$kernel" ] && [ -d "/lib/modules/${kernel#/boot/vmlinuz-}" ] && return 0
  done
  return 1
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
  packages | while read -r name reason; do
    installed "$name" || printf '%-21s %s\n' "$name" "$reason"
  done
}

install_packages() {
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  names=$(echo "$missing" | awk '{ print $1 }' | tr '\n' ' ')
  echo "Installing these Debian packages:"
  echo "$missing" | sed 's/^/  /'
  if [ "$(id -u)" = 0 ]; then as_root=
  elif command -v sudo >/dev/null; then as_root=sudo
  else
    echo "Not root and no sudo here. Run this as root, then start again:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends $names" >&2
    exit 1
  fi
  $as_root apt-get update -q
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $names
}

check_kernel_readable() {
  for kernel in /boot/vmlinuz-*; do
    [ -r "$kernel" ] && return 0
  done
  echo "No kernel in /boot is readable for $(id -un); libguestfs needs one. As root: chmod +r /boot/vmlinuz-*" >&2
  exit 1
}

# npm puts node_modules/.bin first on the PATH of every script of package.json, so all of them run on the Node that is installed here, whatever the machine's own is.
install_npm_packages() {
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "Installing npm packages (with Node 24: what is on this machine is $(node --version))"
    npm ci --no-audit --no-fund --loglevel=error
  fi
  PATH="$PWD/node_modules/.bin:$PATH"
  export PATH
}

build() {
  if [ -e dist/.built ] && [ -z "$(find src package.json tsconfig.json -newer dist/.built -print -quit)" ]; then
    return 0
  fi
  echo "Building dist/"
  # The stamp has the time before the compiler read the sources: what changes meanwhile is built next time.
  mkdir -p dist
  : >dist/.building
  tsc -p tsconfig.json
  # Whoever links to it gets the Node of this repository.
  printf '#!/bin/sh\nrepository=$(dirname "$(dirname "$(readlink -f "$0")")")\nexec "$repository/node_modules/.bin/node" "$repository/dist/cli.js" "$@"\n' >dist/hyper2kvm
  chmod +x dist/hyper2kvm
  mv dist/.building dist/.built
}

install_packages
check_kernel_readable
install_npm_packages
build

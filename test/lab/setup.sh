#!/bin/sh
# Makes a fresh Debian 12 with npm ready to run, test and (--bench) measure hyper2kvm: Debian packages, npm
# packages (Node 24 among them), build. Safe to run again; with nothing to do it takes about 0.2 s.
# --list prints the Debian packages, each with its reason, and ends.
set -eu
cd "$(dirname "$0")/../.."

LOG=dist/setup.log
LOG_LINES=15

# One package a line: its name, then why.
packages() {
  cat <<'LIST'
qemu-utils            reads and writes disk formats (qemu-img)
qemu-system-x86       boots guests: the appliance and the boot test
ovmf                  UEFI firmware of the boot test
swtpm                 the TPM of Windows 11, in the boot test and in libvirt
tesseract-ocr         reads stop codes from the screens of Windows
libguestfs0           opens the guest's filesystems
libguestfs-xfs        XFS in the guest
ntfs-3g               NTFS in the guest, and the lab's Windows disks (mkntfs)
supermin              builds the libguestfs appliance
zstd                  initramfs compression
lz4                   initramfs compression
lzop                  initramfs compression
xz-utils              initramfs compression
bzip2                 initramfs compression
bubblewrap            sandbox around the tools that read a dropped disk
cpio                  reads initramfs archives in tests
mmdebstrap            builds the Debian guests of the lab
uidmap                builds them without being root
mtools                fills an EFI system partition
dosfstools            formats an EFI system partition
fdisk                 partitions the lab's disks (sfdisk)
e2fsprogs             their filesystems (mke2fs -d)
xfsprogs              a spool over three filesystems in tests
grub-common           their boot loader (grub-mkimage)
grub-pc-bin           their boot loader, BIOS
grub-efi-amd64-bin    their boot loader, UEFI
systemd-container     runs the unit under a real systemd in tests
procps                finds processes in tests (pgrep)
openssl               makes disks of random bytes in tests
libvirt-clients       checks the domain XML (virt-xml-validate)
libxml2-utils         which it does with xmllint
attr                  reads access rights in tests (getfattr)
openssh-client        reaches running guests and ESXi hosts (ssh)
openssh-server        an ESXi host in tests, whose commands are
busybox-static        those of busybox
acl                   lets libvirt's QEMU into the delivered bundles (setfacl)
libvirt-daemon-system starts a delivered VM in tests
libvirt-daemon-config-network its network
dnsmasq-base          the network's addresses
iptables              the network's way out
patch                 applies plan.diff in tests
python3-pip           fetches Alpine and Go for the tests
libhivex-bin          reads registry hives in tests (hivexml, hivexget)
osslsigncode          signs Windows drivers in tests
gcc-mingw-w64-x86-64-win32 builds the first-boot program of Windows guests
gcc-mingw-w64-i686-win32 builds it for 32-bit ones
wine64                runs it in tests
p7zip-full            reads the virtio-win ISO (7z)
xorriso               makes one in tests
git                   names the commit of a result, lists the files of a copy
binutils              readelf, strip: what the Debian package depends on, and its size
lintian               checks the Debian package
LIST
  # The appliance boots the newest kernel in /boot that has its modules; one that is there will do.
  has_kernel || echo "linux-image-amd64     kernel of the libguestfs appliance"
  [ "$bench" = no ] || cat <<'LIST'
virt-v2v              the peer that the bench and the matrix measure against
guestfs-tools         virt-inspector, which the matrix holds INSPECT against
nbdkit                virt-v2v reads its source through it
libnbd-bin            virt-v2v copies with its nbdcopy
LIST
}

has_kernel() {
  for kernel in /boot/vmlinuz-*; do
    [ -e "$kernel" ] && [ -d "/lib/modules/${kernel#/boot/vmlinuz-}" ] && return 0
  done
  return 1
}

missing_packages() {
  packages | while read -r name _; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done
}

needs_npm() {
  # shellcheck disable=SC3013
  [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]
}

needs_build() {
  [ ! -e dist/.built ] || [ ! -e dist/cli.js ] || [ -n "$(find src package.json tsconfig.json -newer dist/.built -print -quit)" ]
}

# The program for Windows guests takes longer than all the rest, and seldom changes. Its second half is built last.
needs_first_boot() {
  built=dist/first-boot/i686/h2kfirst.exe
  [ ! -e "$built" ] || [ -n "$(find src/families/windows/first-boot -newer "$built" -print -quit)" ]
}

# Runs a command as one step: a line with its number, its name and how long it took. On a terminal the line
# counts meanwhile; what the command prints goes to the log, and the end of it is shown where it fails.
step() {
  name=$1
  shift
  number=$((number + 1))
  label="[$number/$steps] $name"
  step_started=$(date +%s)
  printf '\n=== %s: %s\n' "$name" "$*" >>"$LOG"
  if [ -t 1 ]; then
    : >"$progress"
    count "$label" "$step_started" &
    counter=$!
  else
    printf '%s ... ' "$label"
  fi
  code=0
  "$@" >>"$LOG" 2>&1 </dev/null || code=$?
  stop_counting
  took=$(duration $(($(date +%s) - step_started)))
  [ ! -t 1 ] || printf '\r\033[K%s ... ' "$label"
  if [ "$code" = 0 ]; then
    echo "$took"
    return
  fi
  echo "failed after $took (exit code $code)"
  echo "The end of $PWD/$LOG:" >&2
  tail -n "$LOG_LINES" "$LOG" | sed 's/^/  /' >&2
  exit 1
}

# Draws the line of a step once a second. apt writes how far it is to $progress (APT::Status-Fd), as
# `dlstatus:1:40.0:Retrieving…` and `pmstatus:qemu-utils:12.5:Unpacking…`.
count() {
  while :; do
    text="$1 ... $(duration $(($(date +%s) - $2)))"
    tail -n 1 "$progress" | {
      IFS=: read -r kind _ percent _ || true
      case $kind in
        dlstatus) text="$text  $(bar "$percent") downloading" ;;
        pmstatus) text="$text  $(bar "$percent") installing" ;;
      esac
      printf '\r\033[K%s' "$text"
    }
    sleep 1
  done
}

bar() {
  percent=${1%.*}
  printf '[%.*s%.*s] %3d %%' $((percent / 5)) '####################' $((20 - percent / 5)) '....................' "$percent"
}

stop_counting() {
  [ -n "$counter" ] || return 0
  # Not TERM: between its fork and its first line the shell may lose that, and `wait` would never end.
  kill -KILL "$counter" 2>/dev/null || true
  wait "$counter" 2>/dev/null || true
  counter=
}

duration() {
  if [ "$1" -lt 60 ]; then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# sudo asks for its password here, where it can be seen.
become_root() {
  [ "$(id -u)" != 0 ] || return 0
  if ! command -v sudo >/dev/null; then
    echo "Neither root nor sudo is available. Run this as root, then start again:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends $(echo "$missing" | paste -s -d ' ' -)" >&2
    exit 1
  fi
  sudo -v
}

# Another apt, as of unattended-upgrades on a fresh machine, is waited for.
update_lists() {
  as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update
}

install_packages() {
  # sudo passes no descriptors on: the shell under it opens the file.
  # shellcheck disable=SC2016,SC2086
  as_root sh -c 'progress=$1; shift; exec "$@" 3>"$progress"' sh "$progress" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o APT::Status-Fd=3 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    install -y --no-install-recommends $missing
}

check_kernel_readable() {
  for kernel in /boot/vmlinuz-*; do
    [ -r "$kernel" ] && return 0
  done
  echo "No kernel in /boot is readable for $(id -un); libguestfs needs one. As root: chmod +r /boot/vmlinuz-*" >&2
  exit 1
}

# No package's install script is run: the native modules bring their binaries, and nothing is compiled.
install_npm_packages() {
  npm ci --ignore-scripts --no-audit --no-fund
}

build() {
  # The stamp has the time before the compiler read the sources: what changes meanwhile is built next time.
  : >dist/.building
  tsc -p tsconfig.json || return
  # What was compiled of sources that are gone.
  find dist -name '*.js' -o -name '*.js.map' | while read -r file; do
    source=src/${file#dist/}
    [ -e "${source%.js*}.ts" ] || rm "$file"
  done
  find dist -mindepth 1 -type d -empty -delete
  # Whoever links to it gets the Node of this repository.
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nrepository=$(dirname "$(dirname "$(readlink -f "$0")")")\nexec "$repository/node_modules/.bin/node" "$repository/dist/cli.js" "$@"\n' >dist/hyper2kvm
  chmod +x dist/hyper2kvm
  ! needs_first_boot || sh src/families/windows/first-boot/build.sh "$PWD/dist/first-boot" || return
  mv dist/.building dist/.built
}

# What is to be done, and a rough estimate of how long it takes (not measured on a fresh machine yet).
announce() {
  seconds=0
  [ -z "$missing" ] || seconds=$((20 + $(echo "$missing" | wc -l) * 6))
  [ "$npm" = no ] || seconds=$((seconds + 40))
  [ "$build" = no ] || seconds=$((seconds + 5))
  if [ "$seconds" -lt 60 ]; then about='less than a minute'
  elif [ "$seconds" -lt 90 ]; then about='about a minute'
  else about="about $(((seconds + 30) / 60)) minutes"; fi
  echo "Setting up hyper2kvm: $about. These will be installed:"
  if [ -n "$missing" ]; then
    echo "- Debian packages and their dependencies (sh test/lab/setup.sh --list gives the reason for each):"
    echo "$missing" | paste -s -d ' ' - | fold -s -w 76 | sed 's/^/    /'
  fi
  [ "$npm" = no ] || echo "- npm packages in node_modules/, including Node 24 (this machine has $(node --version))"
  [ "$build" = no ] || echo '- the program, compiled into dist/'
  echo "The output of the installers goes to $PWD/$LOG."
}

bench=no
for argument in "$@"; do
  case $argument in
    --bench) bench=yes ;;
    --list) packages; exit 0 ;;
    *) echo "usage: setup.sh [--bench] [--list]" >&2; exit 2 ;;
  esac
done

if ! command -v npm >/dev/null; then
  echo 'npm is not installed. It comes with Node: https://nodejs.org, or apt-get install npm' >&2
  exit 1
fi
npm=no build=no steps=0 number=0 counter=
missing=$(missing_packages)
if needs_npm; then npm=yes; fi
if [ "$npm" = yes ] || needs_build; then build=yes; fi
[ -z "$missing" ] || steps=$((steps + 2))
[ "$npm" = no ] || steps=$((steps + 1))
[ "$build" = no ] || steps=$((steps + 1))
if [ "$steps" = 0 ]; then
  check_kernel_readable
  echo 'Everything that hyper2kvm needs is installed.'
  exit 0
fi

started=$(date +%s)
mkdir -p dist
: >"$LOG"
# Not in /tmp: there root may not write to another user's file (fs.protected_regular).
progress=dist/.setup-progress
trap 'stop_counting; rm -f "$progress"' EXIT
trap 'exit 130' INT TERM
announce
if [ -n "$missing" ]; then
  become_root
  step 'Lists of Debian packages' update_lists
  step "$(echo "$missing" | wc -l) Debian packages and their dependencies" install_packages
fi
check_kernel_readable
[ "$npm" = no ] || step 'npm packages' install_npm_packages
# npm puts node_modules/.bin first on the PATH of every script of package.json, so all of them run on the Node
# that is installed here, whatever the machine's own is.
PATH="$PWD/node_modules/.bin:$PATH"
[ "$build" = no ] || step 'Build' build
echo "Ready after $(duration $(($(date +%s) - started)))."

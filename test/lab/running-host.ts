import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '#hyper2kvm/tools/run.js';
import { layOut } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';

/**
 * A guest that runs, as far as SSH can tell: an SSH server in a chroot on the guest's own disk, with the devices
 * of a machine of VMware's. Only the disk outlives it.
 */
export interface RunningHost {
  port: number;
  /** Private keys of root, and of a user who may use sudo without a password; of one who may not. */
  keys: Record<'root' | 'admin' | 'nobody', string>;
  knownHosts: string;
  /** The host's root directory, to be looked at from outside. */
  root: string;
  /** Runs a command on the host, as root. */
  sh(script: string): Promise<string>;
  /** Writes the disk as it is now into a new file. */
  pack(file: string): Promise<void>;
  stop(): Promise<void>;
}

const USERS = { root: 'root', admin: 'admin', nobody: 'guest' } as const;

/** Starts the host on `image`, a copy of the guest's disk that belongs to the caller. Needs root. */
export async function startHost(recipe: GuestRecipe, image: string, directory: string): Promise<RunningHost> {
  const [disk] = layOut(recipe);
  if (disk === undefined) throw new RangeError('the recipe has no disk');
  const root = join(directory, 'root');
  await mkdir(root, { recursive: true });
  const keyFiles = { root: '', admin: '', nobody: '', host: '' };
  for (const name of Object.keys(keyFiles) as (keyof typeof keyFiles)[]) {
    keyFiles[name] = join(directory, `${name}.key`);
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFiles[name]]);
  }
  const port = await freePort();
  const hostKey = (await readFile(`${keyFiles.host}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ');
  const knownHosts = join(directory, 'known_hosts');
  await writeFile(knownHosts, `[127.0.0.1]:${port} ${hostKey}\n`);
  const esp = disk.partitions.find(({ filesystem }) => filesystem === 'vfat');
  const partitions = disk.partitions.map(({ number, offset, size, mount, byPath, filesystem }) =>
    ['partition', number, offset, size, mount, byPath, filesystem].join(' '),
  );
  const script = join(directory, 'host.sh');
  await writeFile(script, hostScript(partitions, { image, root, directory, port, size: disk.size, recipe }));
  const child = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', 'bash', '-eu', script],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  while (!said.includes('Server listening')) {
    if (child.exitCode !== null) throw new Error(`the host did not start: ${said}`);
    await sleep(100);
  }
  // unshare's child, which is alone in having the host's mounts.
  const [inside = ''] = (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).split(' ');
  const { host: _, ...keys } = keyFiles;
  const outside = `/proc/${inside}/root${root}`;
  const sh = async (text: string) => {
    const args = ['-t', inside, '-m', '-p', 'chroot', root, 'sh', '-ec', text];
    return (await run('nsenter', args)).stdout.toString('utf8');
  };
  return {
    ...{ port, keys, knownHosts, stop, sh },
    root: outside,
    async pack(file) {
      await sh('sync');
      await run('cp', ['--sparse=always', image, file]);
      if (esp === undefined) return;
      const names = (await readdir(join(outside, esp.mount))).map((name) => join(outside, esp.mount, name));
      await run('mcopy', ['-s', '-o', '-i', `${file}@@${esp.offset}`, ...names, '::/']);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

interface Place {
  image: string;
  root: string;
  directory: string;
  port: number;
  size: number;
  recipe: GuestRecipe;
}

/**
 * Loop devices stand for the disk and its partitions, under the names and numbers of a machine of VMware's, and
 * a tree of files for what sysfs would have of them. Each loop device goes away with its last user. The files of
 * an EFI system partition are in memory under its name, since this kernel may have no FAT.
 */
function hostScript(
  partitions: readonly string[],
  { image, root, directory, port, size, recipe }: Place,
): string {
  return `
image=${image} root=${root} keys=${directory}
sysfs=$keys/sys
attach() {
  device=$(losetup --find --show --offset "$1" --sizelimit "$2" "$image")
  # It stays while this shell has it open.
  exec {held}<"$device"
  losetup -d "$device"
  number=7:\${device#/dev/loop}
}
mkdir -p "$sysfs/devices/sda/device" "$sysfs/block" "$sysfs/dev/block" "$sysfs/class/block"
: > "$keys/mounts"; : > "$keys/nodes"
attach 0 ${size}
disk=$device
echo "$number" > "$sysfs/devices/sda/dev"
echo ${size / 512} > "$sysfs/devices/sda/size"
ln -s ../devices/sda "$sysfs/block/sda"
ln -s ../../devices/sda "$sysfs/dev/block/$number"
echo "sda $number" >> "$keys/nodes"
partition() {
  attach "$2" "$3"
  own=$sysfs/devices/sda/sda$1
  mkdir "$own"
  echo "$number" > "$own/dev"
  echo "$1" > "$own/partition"
  echo "$(($2 / 512))" > "$own/start"
  echo "$(($3 / 512))" > "$own/size"
  ln -s "../../devices/sda/sda$1" "$sysfs/dev/block/$number"
  ln -s "../../devices/sda/sda$1" "$sysfs/class/block/sda$1"
  echo "sda$1 $number $5" >> "$keys/nodes"
  case $4 in /*) echo "$4 $device $6 $1 $2" >> "$keys/mounts" ;; esac
}
${partitions.join('\n')}
sort "$keys/mounts" | while read -r at device filesystem number offset; do
  case $filesystem in
    vfat)
      mount -t tmpfs -o mode=700 "/dev/sda$number" "$root$at"
      mcopy -s -i "$image@@$offset" '::/*' "$root$at/"
      ;;
    *) mount "$device" "$root$at" ;;
  esac
done
for at in dev run sys; do mount -t tmpfs -o mode=755 tmpfs "$root/$at"; done
mount -t proc proc "$root/proc"
cp -a "$sysfs/." "$root/sys/"
${recipe.firmware === 'uefi' ? 'mkdir -p "$root/sys/firmware/efi"' : ''}
mkdir -p "$root/dev/pts" "$root/dev/disk/by-path" "$root/run/sshd"
mount -t devpts -o ptmxmode=666,newinstance devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
  set -- $node
  mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
while read -r name number link; do
  mknod -m 660 "$root/dev/$name" b "\${number%:*}" "\${number#*:}"
  if [ -n "$link" ]; then ln -s "../../$name" "$root$link"; fi
done < "$keys/nodes"
users=$root/run/users
mkdir "$users"
for user in root admin nobody; do
  case $user in nobody) name=${USERS.nobody} ;; *) name=$user ;; esac
  cp "$keys/$user.key.pub" "$users/$name"
  id=$((\${id:-2000} + 1))
  [ "$name" = root ] || echo "$name:*:$id:100::/tmp:/bin/sh" >> "$users/passwd"
done
cat "$root/etc/passwd" - < "$users/passwd" > "$users/all"
mount --bind "$users/all" "$root/etc/passwd"
echo '${USERS.admin} ALL=(ALL) NOPASSWD: ALL' > "$root/run/sudoers"
chmod 440 "$root/run/sudoers"
mount --bind "$root/run/sudoers" "$root/etc/sudoers"
install -m 600 "$keys/host.key" "$root/run/host.key"
chroot "$root" /usr/sbin/sshd -D -e -p ${port} -h /run/host.key \\
  -o ListenAddress=127.0.0.1 -o StrictModes=no -o UsePAM=no -o PermitRootLogin=prohibit-password \\
  -o AuthorizedKeysFile=/run/users/%u -o PidFile=none &
wait
`;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '#hyper2kvm/tools/run.js';
import { layOut } from './layout.ts';
import { type GuestRecipe, RECIPES } from './recipes.ts';

/** A guest with an SSH server. */
export const LIVE_RECIPE: GuestRecipe = {
  ...RECIPES['bookworm-bios'],
  name: 'bookworm-live',
  packages: [...RECIPES['bookworm-bios'].packages, 'openssh-server', 'sudo'],
};

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
  const partitions = disk.partitions.map(({ number, offset, size, mount, byPath }) =>
    ['partition', number, offset, size, mount, byPath].join(' '),
  );
  const script = join(directory, 'host.sh');
  await writeFile(script, hostScript(partitions, { image, root, directory, port, size: disk.size }));
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
  for (let tries = 0; !said.includes('Server listening'); tries++) {
    if (child.exitCode !== null || tries > 300) throw new Error(`the host did not start: ${said}`);
    await sleep(100);
  }
  // unshare's child, which is alone in having the host's mounts.
  const [inside = ''] = (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).split(' ');
  const { host: _, ...keys } = keyFiles;
  return {
    ...{ port, keys, knownHosts, stop },
    root: `/proc/${inside}/root${root}`,
    async sh(text) {
      const args = ['-t', inside, '-m', '-p', 'chroot', root, 'sh', '-ec', text];
      return (await run('nsenter', args)).stdout.toString('utf8');
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
}

/**
 * Loop devices stand for the disk and its partitions, under the names and numbers of a machine of VMware's, and
 * a tree of files for what sysfs would have of them. Each loop device goes away with its last user.
 */
function hostScript(partitions: readonly string[], { image, root, directory, port, size }: Place): string {
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
  case $4 in /*) echo "$4 $device" >> "$keys/mounts" ;; esac
}
${partitions.join('\n')}
sort "$keys/mounts" | while read -r at device; do mount "$device" "$root$at"; done
for at in dev run sys; do mount -t tmpfs -o mode=755 tmpfs "$root/$at"; done
mount -t proc proc "$root/proc"
cp -a "$sysfs/." "$root/sys/"
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

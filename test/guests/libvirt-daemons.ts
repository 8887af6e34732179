import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { exists } from '../../src/files/exists.js';
import { probeAccelerator } from '../../src/machine/accelerator.js';
import { run } from '../../src/tools/run.js';
import { until } from '../integration/support/daemon.js';

export async function virsh(...args: string[]): Promise<string> {
  const { stdout } = await run('virsh', ['--quiet', '--connect', 'qemu:///system', ...args], {
    timeoutSeconds: 120,
  });
  return stdout.toString('utf8').trim();
}

/**
 * A /dev without kvm, for one program. While /dev/kvm exists and does not run guests, libvirt takes what it knows of
 * QEMU for outdated and asks QEMU again at every call (virQEMUCapsIsValid): `virsh define` takes 65 s instead of a
 * moment on two busy cores. libvirt cannot make each guest a /dev of its own from this one, so it is told not to.
 */
const WITHOUT_KVM = `set -e
mount -t tmpfs none /mnt
cp -ax /dev/. /mnt
rm /mnt/kvm
for name in pts shm mqueue hugepages; do
  ! mountpoint -q "/dev/$name" || mount --rbind "/dev/$name" "/mnt/$name"
done
mount --move /mnt /dev
mount -t tmpfs none /mnt
{ cat /etc/libvirt/qemu.conf; echo 'namespaces = []'; } >/mnt/qemu.conf
mount --bind /mnt/qemu.conf /etc/libvirt/qemu.conf
umount /mnt
exec "$0"`;

/**
 * Debian's libvirt: the one that runs, or daemons of the test's own. Returns what ends them, with the
 * networks that they run.
 */
export async function startLibvirt(): Promise<() => Promise<void>> {
  if (await answers()) return async () => {};
  const { signal } = new AbortController();
  const { kind } = await probeAccelerator({ signal });
  const isMisleading = kind === 'tcg' && (await exists('/dev/kvm'));
  const daemons = ['virtlogd', 'libvirtd'].map((name) => {
    const [program = name, ...args] = isMisleading
      ? ['unshare', '--mount', 'sh', '-c', WITHOUT_KVM, name]
      : [];
    const daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let messages = '';
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      messages = (messages + text).slice(-4_000);
    });
    return { daemon, messages: () => messages };
  });
  await until('libvirt to answer', 60, answers, () => daemons.map(({ messages }) => messages()).join(''));
  const before = await activeNetworks();
  return async () => {
    const started = (await activeNetworks()).filter((name) => !before.includes(name));
    for (const name of started) await virsh('net-destroy', name);
    for (const { daemon } of daemons.reverse()) await end(daemon);
  };
}

async function activeNetworks(): Promise<string[]> {
  return (await virsh('net-list', '--name')).split('\n').filter((name) => name !== '');
}

async function answers(): Promise<boolean> {
  return virsh('version').then(
    () => true,
    () => false,
  );
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await ended;
}

/** Reads the console of a domain until `expected`. */
export async function readConsole(domain: string, expected: RegExp, timeoutSeconds: number): Promise<string> {
  // virsh wants a terminal.
  const command = `virsh --connect qemu:///system console ${domain}`;
  const console = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let text = '';
  console.stdout.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  try {
    await until(
      `${expected} on the console`,
      timeoutSeconds,
      async () => expected.test(text),
      () => text.slice(-3_000),
    );
    return text;
  } finally {
    await end(console);
  }
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './daemon.js';

const UUID = '5f0c1d2e-11111111-2222-333333333333';
const APPLETS = ['sh', 'cat', 'dd', 'stat', 'readlink', 'uname', 'rm'];

/** `vim-cmd` of a host whose VMs are in /vms, and their states in /power. */
const VIM_CMD = `#!/bin/sh
case "$1" in
vmsvc/getallvms) cat /vms ;;
vmsvc/power.getstate) echo 'Retrieved runtime info'; cat "/power/$2" ;;
*) exit 1 ;;
esac
`;

/**
 * A real sshd whose commands run by busybox in a root of its own, which looks like an ESXi host. Before it is a
 * connection that counts and cuts. Needs root.
 */
export class SshPeer {
  readonly directory = mkdtempSync(join(tmpdir(), 'h2k-esxi-'));
  /** The private key that it accepts. */
  readonly key: string;
  /** Bytes from the host so far, over all connections. */
  sent = 0;
  /** Bytes after which a connection is cut. */
  cutAfter = Number.POSITIVE_INFINITY;
  /** Connections that were cut so far. */
  cuts = 0;
  readonly #sockets = new Set<Socket>();
  #front: Server | undefined;
  #sshd: ChildProcess | undefined;
  #log = '';

  private constructor() {
    const root = join(this.directory, 'root');
    for (const name of ['bin', 'dev', 'etc', 'power', `vmfs/volumes/${UUID}`])
      mkdirSync(join(root, name), { recursive: true });
    execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
    for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
    execFileSync('mknod', [join(root, 'dev/null'), 'c', '1', '3']);
    symlinkSync(UUID, join(root, 'vmfs/volumes/datastore1'));
    writeFileSync(join(root, 'bin/vim-cmd'), VIM_CMD, { mode: 0o755 });
    writeFileSync(join(root, 'etc/shadow'), 'root:secret-of-the-host\n');
    this.register([]);
    for (const name of ['host', 'client', 'other']) this.#generate(name);
    this.key = readFileSync(join(this.directory, 'client'), 'utf8');
  }

  static async start(): Promise<SshPeer> {
    const peer = new SshPeer();
    try {
      await peer.#listen(await peer.#startSshd());
      return peer;
    } catch (error) {
      await peer.stop();
      throw error;
    }
  }

  #generate(name: string): void {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.directory, name)]);
  }

  get port(): number {
    if (this.#front === undefined) throw new Error('the peer was not started');
    return (this.#front.address() as AddressInfo).port;
  }

  /** The connection's settings; `known_hosts` has the host's key, another one, or none. */
  connection(knows: 'host' | 'other' | null = 'host'): Record<string, string> {
    const path = join(this.directory, `known-${knows}`);
    const line =
      knows === null
        ? ''
        : `[127.0.0.1]:${this.port} ${readFileSync(join(this.directory, `${knows}.pub`), 'utf8')}`;
    writeFileSync(path, line);
    const url = `ssh://127.0.0.1:${this.port}`;
    return { type: 'esxi-ssh', url, user: 'root', secret: 'esxi', known_hosts: path };
  }

  /** A directory of a VM in the datastore, from outside. */
  place(name: string): string {
    const path = join(this.directory, 'root/vmfs/volumes', UUID, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** What the host lists: names and paths in the datastore, with their power state. */
  register(vms: readonly { name: string; file: string; power?: string }[]): void {
    const root = join(this.directory, 'root');
    const rows = vms.map(
      ({ name, file }, index) =>
        `${index + 1}      ${name.padEnd(20)}   [datastore1] ${file}    otherGuest64    vmx-13    note\n`,
    );
    writeFileSync(
      join(root, 'vms'),
      `Vmid    Name    File    Guest OS    Version    Annotation\n${rows.join('')}`,
    );
    for (const [index, { power = 'Powered off' }] of vms.entries())
      writeFileSync(join(root, 'power', `${index + 1}`), `${power}\n`);
  }

  async #startSshd(): Promise<number> {
    const root = join(this.directory, 'root');
    mkdirSync('/run/sshd', { recursive: true });
    const port = await freePort();
    const lines = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${join(this.directory, 'host')}`,
      `AuthorizedKeysFile ${join(this.directory, 'client.pub')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'PidFile none',
      `ForceCommand exec chroot ${root} /bin/sh -c "$SSH_ORIGINAL_COMMAND"`,
    ];
    writeFileSync(join(this.directory, 'sshd_config'), `${lines.join('\n')}\n`);
    const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(this.directory, 'sshd_config')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#sshd = sshd;
    sshd.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    await until(
      'sshd',
      30,
      async () => this.#log.includes('Server listening') || sshd.exitCode !== null,
      () => this.#log,
    );
    if (sshd.exitCode !== null) throw new Error(`sshd ended:\n${this.#log}`);
    return port;
  }

  async #listen(port: number): Promise<void> {
    this.#front = createServer((client) => {
      const host = connect(port, '127.0.0.1');
      let passed = 0;
      host.on('data', (bytes) => {
        passed += bytes.length;
        this.sent += bytes.length;
        if (passed <= this.cutAfter || host.destroyed) return;
        this.cuts += 1;
        host.destroy();
        client.destroy();
      });
      for (const socket of [client, host]) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          host.destroy();
        });
      }
      client.pipe(host).pipe(client);
    });
    this.#front.listen(0, '127.0.0.1');
    await once(this.#front, 'listening');
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#front?.close();
    const sshd = this.#sshd;
    if (sshd !== undefined && sshd.exitCode === null) {
      const ended = once(sshd, 'exit');
      sshd.kill('SIGKILL');
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

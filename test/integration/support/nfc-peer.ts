import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

interface Lease {
  id: string;
  vm: string;
  ticket: string;
  /** Questions for its state before it is ready. */
  initializing: number;
  /** Bytes that were sent of each disk that was sent to its end. */
  sent: Map<string, number>;
}

/** What the host does wrong, or differently. */
interface NfcBehaviour {
  /** Seconds without a report after which a lease ends, as it says. None does before the test calls `forget`. */
  timeoutSeconds?: number;
  /** Reports of progress that must come before a stream goes on after its first piece. */
  reportsFirst?: number;
  /** Bytes of a stream after which its connection is cut. */
  cutAfter?: number;
  /** Bytes of a stream after which it ends as if that were all. */
  endAfter?: number;
  /** Milliseconds after each 64 KiB. */
  pause?: number;
  /** Addresses have `*` for the host, as those of an ESXi host. */
  star?: boolean;
  /** Instead of that of the host's certificate. */
  thumbprint?: string;
  /** What the manifest says that was sent, beside the truth. */
  manifestAdds?: number;
  /** How the lease calls the disks. */
  keyOf?(slot: number): string;
}

/**
 * The exports of a vCenter (`ExportVm`, `HttpNfcLease`), and the host that their data come from, with a certificate of
 * its own. The simulator has neither.
 */
export class NfcPeer {
  behaviour: NfcBehaviour = {};
  /** Streams of the disks by the id of their VM, in the order of their units. */
  readonly disks = new Map<string, Buffer[]>();
  /** How each lease ended: `complete`, `abort`, `forgotten`. */
  readonly ends: string[] = [];
  readonly percents: number[] = [];
  /** Secrets in addresses: who has one may read. */
  readonly tickets: string[] = [];
  readonly requests: { path: string; cookie: string | undefined; range: string | undefined }[] = [];
  readonly #leases = new Map<string, Lease>();
  #server: Server | undefined;
  #thumbprint = '';
  #reported: () => void = () => undefined;

  static async start(directory: string): Promise<NfcPeer> {
    const peer = new NfcPeer();
    const [key, cert] = [join(directory, 'host-key.pem'), join(directory, 'host-cert.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const files = ['-subj', '/CN=esx1', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'ignore' });
    const shown = execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha1', '-in', cert]);
    peer.#thumbprint = shown.toString().trim().split('=')[1]!;
    const tls = { key: await readFile(key), cert: await readFile(cert) };
    const server = createServer(tls, (asked, answer) => void peer.send(asked, answer));
    peer.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return peer;
  }

  stop(): void {
    this.#server!.closeAllConnections();
    this.#server!.close();
  }

  /** VMs that are held by a lease. */
  get held(): string[] {
    return [...this.#leases.values()].map(({ vm }) => vm);
  }

  /** Returns the body of the answer, or a fault; undefined for a method or an object that is not its own. */
  answer(method: string, body: string): string | { type: string } | undefined {
    const [, type = '', id = ''] = /<_this type="(\w+)">([^<]+)</.exec(body) ?? [];
    if (method === 'ExportVm') return this.#begin(id);
    const asked = /<obj type="HttpNfcLease">([^<]+)</.exec(body)?.[1];
    if (method === 'RetrievePropertiesEx' && asked !== undefined) return this.#stateOf(asked);
    if (type !== 'HttpNfcLease') return undefined;
    const lease = this.#leases.get(id);
    if (lease === undefined) return { type: 'ManagedObjectNotFound' };
    if (method === 'HttpNfcLeaseProgress') {
      this.percents.push(Number(/<percent>(\d+)</.exec(body)?.[1]));
      this.#reported();
    } else if (method === 'HttpNfcLeaseGetManifest') return this.#manifestOf(lease);
    else this.#end(lease, method === 'HttpNfcLeaseComplete' ? 'complete' : 'abort');
    return `<${method}Response xmlns="urn:vim25"/>`;
  }

  /** Ends all leases, as when their time-out has passed. */
  forget(): void {
    for (const lease of [...this.#leases.values()]) this.#end(lease, 'forgotten');
  }

  /** Sends a disk: in pieces, without its length, from its start. */
  async send(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { cookie, range } = asked.headers;
    this.requests.push({ path: asked.url!, cookie, range });
    const [, ticket, name = ''] = /^\/nfc\/([^/]+)\/disk-(\d+)\.vmdk$/.exec(asked.url!) ?? [];
    const lease = [...this.#leases.values()].find((one) => one.ticket === ticket);
    const bytes = this.disks.get(lease?.vm ?? '')?.[Number(name)];
    if (lease === undefined || bytes === undefined) return void answer.writeHead(404).end();
    // A listener for each wait.
    answer.setMaxListeners(0);
    answer.writeHead(200, { 'content-type': 'application/x-vnd.vmware-streamVmdk' });
    const { cutAfter = Number.POSITIVE_INFINITY, endAfter = bytes.length, pause = 0 } = this.behaviour;
    const step = 64 * 1024;
    for (let at = 0; at < Math.min(endAfter, bytes.length); at += step) {
      if (at >= cutAfter || !this.#leases.has(lease.id)) return void asked.socket.destroy();
      const part = bytes.subarray(at, Math.min(at + step, endAfter));
      if (!answer.write(part))
        await new Promise<void>((resolve) => {
          answer.once('drain', resolve);
          answer.once('close', resolve);
        });
      while (at === 0 && this.percents.length < (this.behaviour.reportsFirst ?? 0))
        await new Promise<void>((resolve) => {
          this.#reported = resolve;
        });
      if (answer.destroyed) return;
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
    lease.sent.set(name, Math.min(endAfter, bytes.length));
    answer.end();
  }

  #begin(vm: string): string | { type: string } {
    if (this.held.includes(vm)) return { type: 'TaskInProgress' };
    const lease: Lease = {
      id: `session[${randomBytes(8).toString('hex')}]${this.tickets.length}`,
      vm,
      ticket: randomBytes(16).toString('hex'),
      initializing: 2,
      sent: new Map(),
    };
    this.tickets.push(lease.ticket);
    this.#leases.set(lease.id, lease);
    return `<ExportVmResponse xmlns="urn:vim25"><returnval type="HttpNfcLease">${lease.id}</returnval></ExportVmResponse>`;
  }

  #end(lease: Lease, how: string): void {
    this.#leases.delete(lease.id);
    this.ends.push(how);
  }

  #keyOf(vm: string, disk: number): string {
    return this.behaviour.keyOf?.(disk) ?? `/${vm}/ParaVirtualSCSIController0:${disk}`;
  }

  #stateOf(id: string): string | { type: string } {
    const lease = this.#leases.get(id);
    if (lease === undefined) return { type: 'ManagedObjectNotFound' };
    const property = (name: string, value: string) => `<propSet><name>${name}</name>${value}</propSet>`;
    lease.initializing -= 1;
    const isReady = lease.initializing <= 0;
    const sets = [
      property('state', `<val xsi:type="HttpNfcLeaseState">${isReady ? 'ready' : 'initializing'}</val>`),
      ...(isReady ? [property('info', `<val xsi:type="HttpNfcLeaseInfo">${this.#infoOf(lease)}</val>`)] : []),
    ];
    return `<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects><obj type="HttpNfcLease">${id}</obj>${sets.join('')}</objects></returnval></RetrievePropertiesExResponse>`;
  }

  #infoOf({ vm, ticket }: Lease): string {
    const { star = false, thumbprint = star ? '' : this.#thumbprint, timeoutSeconds = 300 } = this.behaviour;
    const { port } = this.#server!.address() as AddressInfo;
    const host = star ? '*' : `127.0.0.1:${port}`;
    const device = (key: string, file: string, disk: boolean) =>
      `<deviceUrl><key>${key}</key><importKey/><url>https://${host}/nfc/${ticket}/${file}</url><sslThumbprint>${thumbprint}</sslThumbprint><disk>${disk}</disk><targetId>${file}</targetId></deviceUrl>`;
    const disks = this.disks
      .get(vm)!
      .map((_, index) => device(this.#keyOf(vm, index), `disk-${index}.vmdk`, true));
    // Not in the order of the disks, and with what is none.
    return `${device(`/${vm}/nvram`, 'nvram', false)}${disks.reverse().join('')}<totalDiskCapacityInKB>1</totalDiskCapacityInKB><leaseTimeout>${timeoutSeconds}</leaseTimeout>`;
  }

  #manifestOf({ vm, sent }: Lease): string {
    const { manifestAdds = 0 } = this.behaviour;
    const entries = [...sent].map(
      ([name, size]) =>
        `<returnval><key>${this.#keyOf(vm, Number(name))}</key><sha1>${'0'.repeat(40)}</sha1><size>${size + manifestAdds}</size><disk>true</disk></returnval>`,
    );
    return `<HttpNfcLeaseGetManifestResponse xmlns="urn:vim25">${entries.join('')}</HttpNfcLeaseGetManifestResponse>`;
  }
}

/** Returns what a host sends of a disk: as qemu-img compresses it, with the grain directory named at the end only. */
export async function streamOf(content: Buffer, scratch: string): Promise<Buffer> {
  const directory = await mkdtemp(join(scratch, 'stream-'));
  await writeFile(join(directory, 'raw'), content);
  const form = ['-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized', 'raw', 'vmdk'];
  execFileSync('qemu-img', ['convert', ...form], { cwd: directory });
  const disk = await readFile(join(directory, 'vmdk'));
  const footer = Buffer.from(disk.subarray(0, 512));
  disk.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 56);
  const marker = Buffer.alloc(512);
  marker.writeUInt32LE(3, 12);
  return Buffer.concat([disk, marker, footer, Buffer.alloc(512)]);
}

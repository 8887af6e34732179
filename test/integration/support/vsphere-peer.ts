import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { vcsimProgram } from '../../lab/vcsim.ts';
import type { NfcPeer } from './nfc-peer.js';

/** A VM of the simulator, as test/peers/vcsim/main.go reads it. */
export interface PeerVm {
  Name: string;
  Power?: 'poweredOff' | 'poweredOn' | 'suspended';
  Connection?: string;
  Firmware?: string;
  Disks?: {
    Chain: string[];
    SeSparse?: boolean;
    Sharing?: string;
    Rdm?: string;
    Encrypted?: boolean;
    Capacity?: number;
    Mode?: string;
  }[];
}

/** What the server does wrong. */
interface Behaviour {
  /** Bytes of files after which a connection is cut, over all its requests. */
  cutAfter?: number;
  /** Bytes per second and connection. */
  rate?: number;
  /** Requests for files after which a session is not known any more. */
  sessionRequests?: number;
  /** Names in the query have to be encoded twice. */
  encodedTwice?: boolean;
  /** Files are answered without Last-Modified; the simulator has no ETags either. */
  noValidators?: boolean;
  /** Answers instead of the file. */
  fileStatus?: number;
  /** Called before a file is sent. */
  onFile?(url: string): unknown;
  /** Of all datastores: `vsan`. */
  datastoreType?: string;
  /** Answers a method instead of the simulator. */
  fault?(method: string): { type: string; detail?: string } | undefined;
}

/**
 * A vCenter or ESXi host on loopback: the simulator, and in front of it what it lacks. Files are given only to who
 * is logged in, and the connection is encrypted.
 */
export class VspherePeer {
  behaviour: Behaviour = {};
  /** Sessions that were begun and not ended. */
  readonly sessions = new Set<string>();
  /** Cookies of all logins. */
  readonly cookies: string[] = [];
  /** Bytes of files that were sent. */
  sent = 0;
  /** Its exports, if it has any. */
  nfc: NfcPeer | null = null;
  readonly methods: string[] = [];
  readonly fileRequests: { url: string; range: string | undefined }[] = [];
  /** SHA-256 of the certificate, as `fingerprint` of a connection wants it. */
  fingerprint = '';
  directory = '';
  vms: { name: string; moref: string; instanceUuid: string }[] = [];
  datastores: Record<string, string> = {};
  #simulator: ChildProcess | undefined;
  #lines: Interface | undefined;
  #port = 0;
  #server: Server | undefined;
  readonly #requestsOf = new Map<string, number>();
  readonly #sentOn = new WeakMap<Socket, number>();

  static async start(
    vms: readonly PeerVm[],
    { user, password, esx = false }: { user: string; password: string; esx?: boolean },
  ): Promise<VspherePeer> {
    const peer = new VspherePeer();
    peer.directory = await mkdtemp(join(tmpdir(), 'h2k-vc-'));
    await peer.#startSimulator({ User: user, Password: password, Esx: esx, Vms: vms });
    await peer.#startServer();
    return peer;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server!.address() as AddressInfo).port}`;
  }

  get certificate(): string {
    return join(this.directory, 'cert.pem');
  }

  /** Writes a file into a datastore: `[LocalDS_0] web01/web01.vmdk`. */
  async write(path: string, bytes: Buffer | string): Promise<void> {
    const [, store = '', name = ''] = /^\[(.+)\] (.+)$/.exec(path) ?? [];
    const target = join(this.datastores[store]!, name);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
  }

  /** Changes a VM: its power, its configuration. */
  async change(vm: PeerVm): Promise<void> {
    const answered = once(this.#lines!, 'line');
    this.#simulator!.stdin!.write(`${JSON.stringify(vm)}\n`);
    await answered;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
    const ended = once(this.#simulator!, 'exit');
    this.#simulator!.stdin!.end();
    await ended;
    await rm(this.directory, { recursive: true });
  }

  async #startSimulator(inventory: object): Promise<void> {
    const simulator = spawn(await vcsimProgram(), {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { TMPDIR: this.directory },
    });
    this.#simulator = simulator;
    simulator.stdin.write(`${JSON.stringify(inventory)}\n`);
    this.#lines = createInterface({ input: simulator.stdout });
    const [line] = (await once(this.#lines, 'line')) as [string];
    const ready = JSON.parse(line) as Pick<VspherePeer, 'vms' | 'datastores'> & { port: string };
    this.#port = Number(ready.port);
    this.vms = ready.vms;
    this.datastores = ready.datastores;
  }

  async #startServer(): Promise<void> {
    const [key, cert] = [join(this.directory, 'key.pem'), this.certificate];
    const subject = ['-subj', '/CN=vcenter', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    const shown = execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha256', '-in', cert]);
    this.fingerprint = `SHA256:${shown.toString().trim().split('=')[1]}`;
    const tls = { key: await readFile(key), cert: await readFile(cert) };
    const server = createServer(tls, (asked, answer) => void this.#answer(asked, answer));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (asked.url === '/sdk') return this.#answerMethod(asked, answer);
    if (asked.url!.startsWith('/nfc/') && this.nfc !== null) return this.nfc.send(asked, answer);
    this.fileRequests.push({ url: asked.url!, range: asked.headers.range });
    const cookie = asked.headers.cookie ?? '';
    const requests = (this.#requestsOf.get(cookie) ?? 0) + 1;
    this.#requestsOf.set(cookie, requests);
    const { sessionRequests = Number.POSITIVE_INFINITY, encodedTwice = false, fileStatus } = this.behaviour;
    if (requests > sessionRequests) this.sessions.delete(cookie);
    if (!this.sessions.has(cookie)) return void answer.writeHead(401).end();
    await this.behaviour.onFile?.(asked.url!);
    if (fileStatus !== undefined) return void answer.writeHead(fileStatus).end();
    const [path, query = ''] = asked.url!.split('?') as [string, string?];
    // A slash that was encoded once is gone after the server has decoded it twice.
    if (encodedTwice && !query.includes('%252F')) return void answer.writeHead(404).end();
    const decoded = encodedTwice ? decodeURIComponent(query) : query;
    this.#forward({ url: `${path}?${decoded}`, headers: asked.headers, socket: asked.socket }, answer);
  }

  /** Sends a file, at the rate and with the cuts that the test wants. */
  #forward(
    { url, headers, socket }: Pick<IncomingMessage, 'url' | 'headers' | 'socket'>,
    answer: ServerResponse,
  ): void {
    const { cookie: _cookie, host: _host, ...others } = headers;
    const inner = request({ host: '127.0.0.1', port: this.#port, path: url, headers: others }, (file) => {
      if (this.behaviour.noValidators === true) delete file.headers['last-modified'];
      answer.writeHead(file.statusCode!, file.headers);
      void this.#send(file, answer, socket);
    });
    inner.once('error', () => answer.destroy());
    answer.once('close', () => inner.destroy());
    inner.end();
  }

  /** `answer.socket` is null while the answer before it on the same connection is not out. */
  async #send(file: IncomingMessage, answer: ServerResponse, socket: Socket): Promise<void> {
    const { cutAfter = Number.POSITIVE_INFINITY, rate = Number.POSITIVE_INFINITY } = this.behaviour;
    socket.setMaxListeners(0);
    try {
      for await (const chunk of file) {
        const bytes = chunk as Buffer;
        const before = this.#sentOn.get(socket) ?? 0;
        if (before + bytes.length > cutAfter) return void socket.destroy();
        this.#sentOn.set(socket, before + bytes.length);
        this.sent += bytes.length;
        if (!answer.write(bytes))
          await new Promise<void>((resolve) => {
            answer.once('drain', resolve);
            socket.once('close', resolve);
          });
        if (socket.destroyed) return;
        if (Number.isFinite(rate))
          await new Promise((done) => setTimeout(done, (bytes.length / rate) * 1000));
      }
    } catch {
      return void socket.destroy();
    }
    answer.end();
  }

  async #answerMethod(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of asked) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const method = /<Body><(\w+)/.exec(body.toString('utf8'))?.[1] ?? '';
    this.methods.push(method);
    const cookie = asked.headers.cookie ?? '';
    const isKnown = this.sessions.has(cookie);
    const isFree = method === 'RetrieveServiceContent' || method === 'Login';
    // The simulator lets anyone read properties.
    const fault = isFree || isKnown ? this.behaviour.fault?.(method) : { type: 'NotAuthenticated' };
    if (fault !== undefined) return void answer.writeHead(500).end(faultText(fault));
    const exported = this.nfc?.answer(method, body.toString('utf8'));
    if (typeof exported === 'string') return void answer.end(envelope(exported));
    if (exported !== undefined) return void answer.writeHead(500).end(faultText(exported));
    const { host: _host, ...headers } = asked.headers;
    const inner = request(
      { host: '127.0.0.1', port: this.#port, path: '/sdk', method: 'POST', headers },
      (answered) => {
        const [begun] = answered.headers['set-cookie'] ?? [];
        if (method === 'Login' && begun !== undefined) {
          this.cookies.push(begun.split(';')[0]!);
          this.sessions.add(this.cookies.at(-1)!);
        }
        if (method === 'Logout') this.sessions.delete(cookie);
        const { datastoreType } = this.behaviour;
        const { 'content-length': _length, ...others } = answered.headers;
        answer.writeHead(answered.statusCode!, others);
        if (datastoreType === undefined) answered.pipe(answer);
        else
          void text(answered).then((all) => answer.end(all.replace(/(?<=<type>)OTHER(?=<)/g, datastoreType)));
      },
    );
    inner.end(body);
  }
}

function envelope(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`;
}

function faultText({ type, detail = '' }: { type: string; detail?: string }): string {
  return envelope(
    `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>fault of the test</faultstring><detail><${type}Fault xmlns="urn:vim25" xsi:type="${type}">${detail}</${type}Fault></detail></soapenv:Fault>`,
  );
}

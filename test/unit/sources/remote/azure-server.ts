import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Behaviour, FileServer } from './file-server.js';

const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';
const TENANT = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const CLIENT = '99999999-8888-7777-6666-555555555555';
const PAGE = 512;

interface Disk {
  bytes: Buffer;
  /** Changes with each write. */
  etag: string;
  isAttached: boolean;
  properties: object;
}

interface Snapshot extends Pick<Disk, 'bytes' | 'etag'> {
  tags: object;
  created: string;
}

interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/**
 * Azure on loopback, over TLS: tokens, Resource Manager, whose changes end some requests after they were begun, and page
 * blobs behind addresses that are valid while an access is.
 */
export class AzureServer {
  readonly files: FileServer;
  readonly certificate: string;
  secret = 'the-secret-of-the-app';
  /** AADSTS…, the reason of a refused secret. */
  secretError = 7_000_215;
  /** By id, in lower case. */
  readonly vms = new Map<string, { name: string; power: string; properties: object }>();
  readonly disks = new Map<string, Disk>();
  readonly snapshots = new Map<string, Snapshot>();
  readonly nics = new Map<string, string>();
  /** The signature of the access that is in force, by id. */
  readonly accesses = new Map<string, string>();
  /** `POST …/beginGetAccess`, each with the last part of the id. */
  readonly calls: string[] = [];
  /** Answers a call instead. */
  instead: ((call: string) => Answer | undefined) | null = null;
  /** Bytes of blobs that were sent. */
  get sent(): number {
    return this.files.sent;
  }
  readonly #tokens = new Set<string>();
  readonly #operations = new Map<string, { left: number; end: () => Answer }>();
  #count = 0;

  private constructor(files: FileServer, certificate: string) {
    this.files = files;
    this.certificate = certificate;
    this.behave({});
  }

  /** `directory` gets its key and certificate. */
  static async start(directory: string): Promise<AzureServer> {
    const [key, cert] = [join(directory, 'azure-key.pem'), join(directory, 'azure-cert.pem')];
    const subject = ['-subj', '/CN=azure', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    if (!existsSync(cert))
      execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], {
        stdio: 'ignore',
      });
    const tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    return new AzureServer(await FileServer.start(tls), cert);
  }

  get connection() {
    const { url } = this.files;
    return {
      type: 'azure',
      tenant: TENANT,
      client_id: CLIENT,
      subscription: SUBSCRIPTION,
      secret: 'azure',
      url,
      login_url: url,
      ca_file: this.certificate,
    };
  }

  behave(behaviour: Omit<Behaviour, 'instead'>): void {
    this.files.behaviour = { ...behaviour, instead: (request, response) => this.#route(request, response) };
  }

  idOf(kind: string, name: string): string {
    return `/subscriptions/${SUBSCRIPTION}/resourceGroups/Group-1/providers/Microsoft.Compute/${kind}/${name}`;
  }

  /** Adds a disk, or replaces its content. */
  disk(name: string, bytes: Buffer, { isAttached = false, properties = {} } = {}): string {
    const id = this.idOf('disks', name);
    this.disks.set(id.toLowerCase(), { bytes, etag: etagOf(bytes), isAttached, properties });
    return id;
  }

  /** Adds a VM with these disks, the system's first. */
  vm(
    name: string,
    power: 'deallocated' | 'running' | 'stopped',
    disks: string[],
    properties: object = {},
  ): string {
    const id = this.idOf('virtualMachines', name);
    const [os, ...data] = disks.map((disk) => ({ managedDisk: { id: disk } }));
    for (const disk of disks) this.disks.get(disk.toLowerCase())!.isAttached = power !== 'deallocated';
    this.vms.set(id.toLowerCase(), {
      name,
      power,
      properties: {
        vmId: '50335f8e-0000-4000-8000-1234567890ab',
        hardwareProfile: { vmSize: 'Standard_B2s' },
        storageProfile: {
          osDisk: os,
          dataDisks: data.map((disk, index) => ({ ...disk, lun: index + 1 })).reverse(),
        },
        ...properties,
      },
    });
    return id;
  }

  #route(request: IncomingMessage, response: ServerResponse): boolean {
    const [path = '', query = ''] = request.url!.split('?');
    if (path.startsWith('/md-')) return this.#blob(path, query, request, response);
    void this.#answer(path, request).then(({ status, body, headers = {} }) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(body === undefined ? '' : JSON.stringify(body)),
    );
    return true;
  }

  async #answer(path: string, request: IncomingMessage): Promise<Answer> {
    let text = '';
    for await (const chunk of request) text += (chunk as Buffer).toString('utf8');
    if (path.endsWith('/.well-known/openid-configuration')) {
      const base = `${this.files.url}/${TENANT}`;
      return {
        status: 200,
        body: {
          issuer: `${base}/v2.0`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/keys`,
        },
      };
    }
    if (path === `/${TENANT}/oauth2/v2.0/token`) return this.#token(new URLSearchParams(text));
    const [, token = ''] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
    if (!this.#tokens.has(token)) return failure(401, 'InvalidAuthenticationToken');
    const operation = this.#operations.get(path);
    if (operation !== undefined) return this.#poll(operation);
    const { pathname, searchParams } = new URL(request.url!, this.files.url);
    if (searchParams.get('api-version') === null) return failure(400, 'MissingApiVersionParameter');
    const call = `${request.method} ${pathname.split('/').slice(-2).join('/')}`;
    this.calls.push(call);
    return this.instead?.(call) ?? this.#resource(request.method!, pathname.toLowerCase(), text);
  }

  #token(form: URLSearchParams): Answer {
    const isRight = form.get('client_id') === CLIENT && form.get('client_secret') === this.secret;
    const codes = {
      error: 'invalid_client',
      error_description: `AADSTS${this.secretError}: the words of the server`,
      error_codes: [this.secretError],
    };
    if (!isRight || !form.get('scope')?.includes(`${this.files.url}/.default`))
      return { status: 401, body: codes };
    return { status: 200, body: this.issue() };
  }

  /** Returns a token as whoever gives them does. */
  issue() {
    const token = `token-${this.#next()}`;
    this.#tokens.add(token);
    return { token_type: 'Bearer', expires_in: 3599, access_token: token };
  }

  #poll(operation: { left: number; end: () => Answer }): Answer {
    operation.left -= 1;
    return operation.left > 0 ? { status: 202, headers: { 'retry-after': '0' } } : operation.end();
  }

  /** Ends some requests later. */
  #later(end: () => Answer): Answer {
    const path = `/operations/${this.#next()}`;
    this.#operations.set(path, { left: 2, end });
    return { status: 202, headers: { location: `${this.files.url}${path}`, 'retry-after': '0' } };
  }

  #resource(method: string, path: string, text: string): Answer {
    const [, id = path, action] = /^(.+?)\/(begingetaccess|endgetaccess)$/.exec(path) ?? [];
    if (action === 'begingetaccess') return this.#begin(id);
    if (action === 'endgetaccess') {
      if (!this.disks.has(id) && !this.snapshots.has(id)) return failure(404, 'ResourceNotFound');
      return this.#later(() => {
        this.accesses.delete(id);
        return { status: 200 };
      });
    }
    if (method === 'PUT') return this.#snapshot(id, JSON.parse(text));
    if (method === 'DELETE') {
      if (!this.snapshots.has(id)) return { status: 204 };
      if (this.accesses.has(id)) return failure(409, 'OperationNotAllowed');
      return this.#later(() => {
        this.snapshots.delete(id);
        return { status: 200 };
      });
    }
    return this.#get(id);
  }

  #get(id: string): Answer {
    const vm = this.vms.get(id);
    if (vm !== undefined) {
      const instanceView = {
        statuses: [{ code: 'ProvisioningState/succeeded' }, { code: `PowerState/${vm.power}` }],
      };
      return {
        status: 200,
        body: { name: vm.name, location: 'westeurope', properties: { ...vm.properties, instanceView } },
      };
    }
    const disk = this.disks.get(id);
    const name = id.split('/').at(-1);
    if (disk !== undefined) {
      const diskState = this.accesses.has(id) ? 'ActiveSAS' : disk.isAttached ? 'Attached' : 'Reserved';
      return {
        status: 200,
        body: {
          id,
          name,
          location: 'westeurope',
          properties: { hyperVGeneration: 'V2', diskState, ...disk.properties },
        },
      };
    }
    const snapshot = this.snapshots.get(id);
    if (snapshot !== undefined) {
      const diskState = this.accesses.has(id) ? 'ActiveSAS' : 'Unattached';
      const properties = {
        diskState,
        provisioningState: 'Succeeded',
        timeCreated: snapshot.created,
        completionPercent: 100,
      };
      return { status: 200, body: { id, name, location: 'westeurope', tags: snapshot.tags, properties } };
    }
    const mac = this.nics.get(id);
    if (mac !== undefined) return { status: 200, body: { name, properties: { macAddress: mac } } };
    if (id.endsWith('/vmsizes'))
      return { status: 200, body: { value: [{ name: 'Standard_B2s', numberOfCores: 2, memoryInMB: 4096 }] } };
    if (id === `/subscriptions/${SUBSCRIPTION}`) return { status: 200, body: { displayName: 'Test' } };
    return failure(404, 'ResourceNotFound');
  }

  #begin(id: string): Answer {
    const held = this.disks.get(id) ?? this.snapshots.get(id);
    if (held === undefined) return failure(404, 'ResourceNotFound');
    if (this.accesses.has(id)) return failure(409, 'ActiveSASToken');
    if ('isAttached' in held && held.isAttached) return failure(409, 'OperationNotAllowed');
    return this.#later(() => {
      const signature = `canary-sas-${this.#next()}`;
      this.accesses.set(id, signature);
      const name = createHash('sha256').update(id).digest('hex').slice(0, 12);
      this.files.files.set(`/md-${name}/abcd`, {
        bytes: held.bytes,
        etag: held.etag,
        headers: { 'x-ms-blob-type': 'PageBlob' },
      });
      const accessSAS = `${this.files.url}/md-${name}/abcd?sv=2018-03-28&sr=b&sig=${signature}`;
      return { status: 200, body: { accessSAS } };
    });
  }

  #snapshot(
    id: string,
    body: { tags: object; properties: { incremental: boolean; creationData: { sourceResourceId: string } } },
  ): Answer {
    const source = this.disks.get(body.properties.creationData.sourceResourceId.toLowerCase());
    if (source === undefined || !body.properties.incremental) return failure(400, 'InvalidParameter');
    return this.#later(() => {
      const { bytes } = source;
      // Bytes of another blob, with an ETag of its own.
      this.snapshots.set(id, {
        bytes,
        etag: `"snapshot-${this.#next()}"`,
        tags: body.tags,
        created: '2026-11-28T02:00:00Z',
      });
      return { status: 200, body: {} };
    });
  }

  #blob(path: string, query: string, request: IncomingMessage, response: ServerResponse): boolean {
    const sig = new URLSearchParams(query).get('sig') ?? '';
    if (![...this.accesses.values()].includes(sig)) {
      response.writeHead(403).end('<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code></Error>');
      return true;
    }
    if (!query.includes('comp=pagelist')) return false;
    const { bytes, etag } = this.files.files.get(path)!;
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== etag)
      return response.writeHead(412).end() !== undefined;
    response
      .writeHead(200, { etag: etag! })
      .end(`<?xml version="1.0"?><PageList>${pageRanges(bytes)}</PageList>`);
    return true;
  }

  #next(): number {
    this.#count += 1;
    return this.#count;
  }
}

/** Of 64 KiB each, which is fine enough. */
function pageRanges(bytes: Buffer): string {
  const step = 128 * PAGE;
  let text = '';
  for (let start = 0; start < bytes.length; start += step) {
    const part = bytes.subarray(start, start + step);
    if (part.some((byte) => byte !== 0))
      text += `<PageRange><Start>${start}</Start><End>${start + part.length - 1}</End></PageRange>`;
  }
  return text;
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function failure(status: number, code: string): Answer {
  return { status, body: { error: { code, message: `the message of ${code}` } } };
}

import { type AgentOptions, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { Hyper2kvmError } from '../../../../errors/error.js';

/** How the server's certificate is checked. */
export interface Trust {
  /** The CA's certificates as PEM; null for those of Node and of the system. */
  ca: string | null;
  /** 64 lower-case hexadecimal digits of the one certificate that is accepted; null for any of the CA. */
  sha256: string | null;
  /**
   * 40 lower-case hexadecimal digits: the SHA-1 of the one certificate that is accepted, in place of both. Only of what
   * a server that was checked itself says of another: vCenter names its hosts so, and in no other way.
   */
  sha1?: string | undefined;
}

const CONNECT_MILLISECONDS = 30_000;
const KEEP_ALIVE_MILLISECONDS = 60_000;

type Callback = (error: Error | null, socket: Duplex) => void;

/**
 * Returns an agent whose connections are checked before the first request is sent: by the CA and the name, or
 * by the fingerprint alone. The environment's proxies are not used.
 */
export function checkedAgent(protocol: string, trust: Trust, parallel: number): HttpAgent {
  const options: AgentOptions = { keepAlive: true, maxSockets: parallel + 1 };
  return protocol === 'https:' ? new CheckedTlsAgent(options, trust) : new PlainAgent(options);
}

class PlainAgent extends HttpAgent {
  override createConnection(options: object, callback?: Callback): undefined {
    const { host, port } = options as { host: string; port: number };
    const socket = connectPlain({ host, port });
    deliver(socket, 'connect', `${host}:${port}`, callback!);
  }
}

class CheckedTlsAgent extends HttpsAgent {
  readonly #trust: Trust;

  constructor(options: AgentOptions, trust: Trust) {
    super(options);
    this.#trust = trust;
  }

  override createConnection(options: object, callback?: Callback): undefined {
    const { host, port } = options as { host: string; port: number };
    const { ca } = this.#trust;
    // Checked below and not by Node, so that the error can show the certificate.
    const socket = connectTls({
      host,
      port,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === null ? { secureContext: commonContext() } : { ca }),
    });
    deliver(socket, 'secureConnect', `${host}:${port}`, callback!, () =>
      refusalOf(socket, this.#trust, `${host}:${port}`),
    );
  }
}

let common: SecureContext | null = null;

/**
 * Returns what trusts the CAs of Node and those that the administrator added to the system: read at the first
 * use, since that takes a while, and kept.
 */
function commonContext(): SecureContext {
  common ??= createSecureContext({ ca: [...getCACertificates('default'), ...getCACertificates('system')] });
  return common;
}

/** Calls back once: with the socket when it is connected and accepted, or with the error. */
function deliver(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  server: string,
  callback: Callback,
  refusal: () => Hyper2kvmError | null = () => null,
): void {
  const onError = (error: Error) => callback(error, socket);
  const onTimeout = () =>
    socket.destroy(new Hyper2kvmError('remote.timeout', `${server} does not answer`, { retryable: true }));
  socket.once('error', onError);
  socket.setTimeout(CONNECT_MILLISECONDS, onTimeout);
  socket.once(event, () => {
    socket.setTimeout(0);
    socket.off('timeout', onTimeout);
    const refused = refusal();
    if (refused !== null) return void socket.destroy(refused);
    socket.off('error', onError);
    // Shows that a host is gone which may be silent for long.
    socket.setKeepAlive(true, KEEP_ALIVE_MILLISECONDS);
    callback(null, socket);
  });
}

function refusalOf(socket: TLSSocket, { sha256, sha1 }: Trust, server: string): Hyper2kvmError | null {
  const certificate = socket.getPeerX509Certificate();
  const seen = plainDigits(certificate?.fingerprint256 ?? '');
  if (sha1 !== undefined && plainDigits(certificate?.fingerprint ?? '') === sha1) return null;
  if (sha1 === undefined && (sha256 === null ? socket.authorized : seen === sha256)) return null;
  const wanted = sha1 === undefined ? `SHA256:${sha256}` : `SHA1:${sha1}`;
  const why =
    sha256 === null && sha1 === undefined
      ? `${socket.authorizationError}`
      : `it is not the one with the fingerprint ${wanted}`;
  return new Hyper2kvmError(
    'remote.tls',
    `the certificate of ${server} is not accepted (${why}); its fingerprint is SHA256:${seen}`,
  );
}

function plainDigits(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

import type { Logger } from 'pino';
import type { VsphereConnection } from '../../../../config/connections.js';
import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { type Markup, markup } from '../../../../text/markup.js';
import { UNSAFE } from '../../../../text/unsafe.js';
import { readCredential } from '../base/credential.js';
import { interrupted } from '../http/errors.js';
import type { Secret } from '../http/exchange.js';
import { VsphereFault } from './faults.js';
import type { MoRef, SoapClient } from './soap-client.js';

/** The services of a server, by the names of its `ServiceContent`. */
export type Service = 'propertyCollector' | 'rootFolder' | 'searchIndex' | 'sessionManager' | 'viewManager';

const COOKIE = /^(vmware_soap_session="?[A-Za-z0-9._:+/=-]{1,512}"?)(?:;|$)/;
const LOGOUT_MILLISECONDS = 10_000;

/** A login to a vCenter or ESXi host: for the API, and for the files of its datastores. */
export class Session {
  readonly #client: SoapClient;
  readonly #connection: VsphereConnection;
  readonly #log: Logger;
  readonly #services = new Map<string, MoRef>();
  #cookie: string | null = null;
  #renewing: Promise<void> | null = null;
  /** Of a vCenter, not of an ESXi host. */
  isVcenter = false;
  /** `VMware vCenter Server 8.0.2 build-22617221`. */
  product = '';

  constructor(client: SoapClient, connection: VsphereConnection, log: Logger) {
    this.#client = client;
    this.#connection = connection;
    this.#log = log;
  }

  /** Errors: `remote.auth`, `remote.secret-unreadable`, those of the connection. */
  async login(signal: AbortSignal): Promise<void> {
    const service = { type: 'ServiceInstance', id: 'ServiceInstance' };
    const { values } = await this.#client.call('RetrieveServiceContent', service, markup``, {
      headers: {},
      signal,
    });
    const [content] = values;
    for (const child of content?.children ?? []) {
      const type = child.attributes.get('type');
      if (type !== undefined) this.#services.set(child.name, { type, id: child.text });
    }
    const [about] = childrenNamed(content, 'about');
    this.isVcenter = textOf(about, 'apiType') === 'VirtualCenter';
    this.product = textOf(about, 'fullName') ?? '';
    this.#client.speak(textOf(about, 'apiVersion') ?? '');
    await this.#begin(signal);
  }

  /** Calls a method of an object, after a new login if the session has expired. */
  async call(method: string, target: MoRef, parameters: Markup, signal: AbortSignal): Promise<XmlElement[]> {
    const cookie = this.#cookie;
    const call = () => this.#client.call(method, target, parameters, { headers: this.#headers(), signal });
    try {
      return (await call()).values;
    } catch (error) {
      if (!(error instanceof VsphereFault) || error.fault !== 'NotAuthenticated') throw error;
      await this.#renew(cookie, signal);
      return (await call()).values;
    }
  }

  service(name: Service): MoRef {
    const found = this.#services.get(name);
    if (found === undefined) throw interrupted(`the server has no ${name}`);
    return found;
  }

  /** What a request for a file needs. */
  async secret(): Promise<Secret> {
    return { headers: this.#headers(), query: '' };
  }

  /** Replaces a session with which a file was refused, unless another request has done so already. */
  async renewFor(refused: Secret, signal: AbortSignal): Promise<boolean> {
    await this.#renew(refused.headers.cookie ?? null, signal);
    return true;
  }

  /** Ends the session on the server, also after an abort. A failure is only logged: it expires by itself. */
  async logout(): Promise<void> {
    if (this.#cookie === null) return;
    await this.#end().catch((err: unknown) =>
      this.#log.warn({ err }, 'logout failed, the session expires on the server'),
    );
    this.#cookie = null;
  }

  async #end(): Promise<void> {
    const signal = AbortSignal.timeout(LOGOUT_MILLISECONDS);
    const manager = this.service('sessionManager');
    await this.#client.call('Logout', manager, markup``, { headers: this.#headers(), signal });
  }

  #headers(): Record<string, string> {
    return this.#cookie === null ? {} : { cookie: this.#cookie };
  }

  /** Requests that are refused at the same time share one login. */
  async #renew(refused: string | null, signal: AbortSignal): Promise<void> {
    if (this.#cookie !== refused) return;
    this.#renewing ??= this.#replace(signal).finally(() => {
      this.#renewing = null;
    });
    await this.#renewing;
  }

  /** What was refused need not have expired: it is ended if it can be, or it would count as a session. */
  async #replace(signal: AbortSignal): Promise<void> {
    await this.#end().catch(() => undefined);
    await this.#begin(signal);
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { user, secret } = this.#connection;
    const password = await readCredential(secret);
    if (password.search(UNSAFE) >= 0)
      throw new Hyper2kvmError(
        'remote.secret-unreadable',
        `the credential ${secret} has more than one line, or invisible characters`,
      );
    const parameters = markup`<userName>${user}</userName><password>${password}</password>`;
    const manager = this.service('sessionManager');
    // Without the old cookie: a server refuses a login within a session.
    const { cookies } = await this.#client
      .call('Login', manager, parameters, { headers: {}, signal })
      .catch((error: unknown) => {
        throw error instanceof VsphereFault ? this.#loginFault(error) : error;
      });
    const cookie = cookies.map((text) => COOKIE.exec(text)?.[1]).find((found) => found !== undefined);
    if (cookie === undefined) throw interrupted('the server accepts the login and begins no session');
    this.#cookie = cookie;
  }

  /** Without the server's words, which may repeat what it was sent: the password. */
  #loginFault({ fault }: VsphereFault): VsphereFault {
    return new VsphereFault(fault, `${new URL(this.#connection.url).host}: Login, ${printable(fault, 80)}`);
  }
}

export function textOf(element: XmlElement | undefined, name: string): string | null {
  return childrenNamed(element, name)[0]?.text ?? null;
}

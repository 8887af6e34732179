import { childrenNamed, parseXml, type XmlElement } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { type Markup, markup } from '../../../../text/markup.js';
import { contentOf } from '../http/content.js';
import { interrupted } from '../http/errors.js';
import type { Exchange } from '../http/exchange.js';
import { faultOf } from './faults.js';

/** A managed object of the server: a VM, a folder, one of the services. */
export interface MoRef {
  type: string;
  id: string;
}

/** What the XML parser reads at most. Lists are asked for in pages, so that no answer comes near it. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/**
 * The newest version of the API with something that is read here: TPMs. A server answers to its own version and to
 * earlier ones, and leaves out types that the version does not have.
 */
const NEWEST = [6, 7] as const;
const OLDEST = '5.5';

export const referenceMarkup = (name: Markup, { type, id }: MoRef): Markup =>
  markup`<${name} type="${type}">${id}</${name}>`;

/** Calls methods of the vSphere API, one request each. Knows no session: `headers` are the caller's. */
export class SoapClient {
  readonly #exchange: Exchange;
  readonly #url: URL;
  #version = OLDEST;

  constructor(exchange: Exchange, base: URL) {
    this.#exchange = exchange;
    this.#url = new URL('/sdk', base);
  }

  /** Asks further questions in the version that the server has (`6.5`, `8.0.2.0`), or in an earlier one. */
  speak(version: string): void {
    const [major = Number.NaN, minor = 0] = version.split('.').map(Number);
    const isNewer = major > NEWEST[0] || (major === NEWEST[0] && minor >= NEWEST[1]);
    if (isNewer) this.#version = NEWEST.join('.');
    else if (major >= 6) this.#version = `${major}.${minor}`;
  }

  /**
   * Returns the `returnval` elements of the answer, and its cookies. Throws `VsphereFault`, and `remote.*` for
   * what is not an answer of the API.
   */
  async call(
    method: string,
    target: MoRef,
    parameters: Markup,
    { headers, signal }: { headers: Record<string, string>; signal: AbortSignal },
  ): Promise<{ values: XmlElement[]; cookies: string[] }> {
    const where = `${this.#url.host}: ${method}`;
    const answer = await this.#exchange.post(
      this.#url,
      { 'content-type': 'text/xml; charset=utf-8', soapaction: `urn:vim25/${this.#version}`, ...headers },
      // A fault comes with 500.
      [200, 500],
      { body: requestText(method, target, parameters), signal },
    );
    const bytes = await contentOf(answer, MAX_ANSWER_BYTES, signal);
    const body = bodyOf(bytes, where, answer.status);
    const [fault] = childrenNamed(body, 'Fault');
    if (fault !== undefined) throw faultOf(fault, where);
    const [response] = childrenNamed(body, `${method}Response`);
    if (response === undefined) throw interrupted(`${where}: the answer has no ${method}Response`);
    return {
      values: childrenNamed(response, 'returnval'),
      cookies: answer.headers['set-cookie'] ?? [],
    };
  }
}

function requestText(method: string, target: MoRef, parameters: Markup): string {
  const name = markup`${method}`;
  const call = markup`<${name} xmlns="urn:vim25">${referenceMarkup(markup`_this`, target)}${parameters}</${name}>`;
  const envelope = markup`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>${call}</Body></Envelope>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${envelope.text}`;
}

/** An answer 500 that is not XML is the page of a proxy or of a server that starts. */
function bodyOf(bytes: Buffer, where: string, status: number): XmlElement {
  try {
    const envelope = parseXml(bytes);
    const [body] = childrenNamed(envelope, 'Body');
    if (envelope.name === 'Envelope' && body !== undefined) return body;
  } catch (cause) {
    if (!(cause instanceof Hyper2kvmError)) throw cause;
    throw interrupted(`${where}: the answer (${status}) cannot be read: ${cause.message}`, cause);
  }
  throw interrupted(`${where}: the answer (${status}) is not SOAP`);
}

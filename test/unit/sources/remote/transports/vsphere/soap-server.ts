import type { IncomingMessage, ServerResponse } from 'node:http';
import { pino } from 'pino';
import { Exchange } from '../../../../../../src/sources/remote/transports/http/exchange.js';
import { Session } from '../../../../../../src/sources/remote/transports/vsphere/session.js';
import { SoapClient } from '../../../../../../src/sources/remote/transports/vsphere/soap-client.js';
import { FileServer } from '../../file-server.js';

/** What a method is answered with: the text inside of the body, or everything. */
export type Answer = string | { status: number; text: string; headers?: Record<string, string> };

/** The services of a vCenter, as govmomi's simulator names them. */
export const CONTENT =
  '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval><rootFolder type="Folder">group-d1</rootFolder>' +
  '<propertyCollector type="PropertyCollector">propertyCollector</propertyCollector><viewManager type="ViewManager">ViewManager</viewManager>' +
  '<about><fullName>VMware vCenter Server 6.5.0 build-5973321</fullName><apiType>VirtualCenter</apiType><apiVersion>6.5</apiVersion></about>' +
  '<sessionManager type="SessionManager">SessionManager</sessionManager><searchIndex type="SearchIndex">SearchIndex</searchIndex></returnval></RetrieveServiceContentResponse>';

export function envelope(body: string): string {
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ' +
    `xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`
  );
}

export function faultBody(type: string, detail = '', text = 'said'): string {
  return (
    `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>${text}</faultstring>` +
    `<detail><${type}Fault xmlns="urn:vim25" xsi:type="${type}">${detail}</${type}Fault></detail></soapenv:Fault>`
  );
}

/** A server that answers methods of the API with recorded text, and remembers what it was asked. */
export class SoapServer {
  readonly requests: { method: string; body: string; headers: IncomingMessage['headers'] }[] = [];
  /** Asked for each method; the last answer is repeated. */
  answers: Record<string, Answer[]> = {};
  readonly server: FileServer;

  private constructor(server: FileServer) {
    this.server = server;
    server.behaviour = {
      instead: (request, response) => {
        if (request.url !== '/sdk') return false;
        void this.#answer(request, response);
        return true;
      },
    };
  }

  static async start(): Promise<SoapServer> {
    return new SoapServer(await FileServer.start());
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  /** Lets everyone log in. */
  login(): void {
    const text = envelope('<LoginResponse xmlns="urn:vim25"><returnval/></LoginResponse>');
    const headers = { 'set-cookie': 'vmware_soap_session=s1' };
    this.answers.RetrieveServiceContent = [CONTENT];
    this.answers.Login = [{ status: 200, text, headers }];
    this.answers.Logout = ['<LogoutResponse xmlns="urn:vim25"/>'];
  }

  client(): SoapClient {
    const base = new URL(this.server.url);
    const trust = { ca: null, sha256: null };
    const secret = async () => ({ headers: {}, query: '' });
    return new SoapClient(new Exchange(base, { trust, redirectHosts: [], secret, parallel: 1 }), base);
  }

  session(secret = 'vc1'): Session {
    const connection = {
      name: 'vc1',
      type: 'vsphere',
      url: this.server.url,
      user: 'DOM\\u&<',
      secret,
    } as const;
    return new Session(this.client(), connection, pino({ level: 'silent' }));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const method = /<Body><(\w+)/.exec(body)?.[1] ?? '';
    this.requests.push({ method, body, headers: request.headers });
    const queue = this.answers[method] ?? [];
    const answer = (queue.length > 1 ? queue.shift() : queue[0]) ?? faultBody('MethodNotFound');
    if (typeof answer !== 'string') {
      response.writeHead(answer.status, answer.headers).end(answer.text);
      return;
    }
    const text = envelope(answer);
    response.writeHead(answer.startsWith('<soapenv:Fault>') ? 500 : 200, {
      'content-type': 'text/xml; charset=utf-8',
    });
    response.end(text);
  }
}

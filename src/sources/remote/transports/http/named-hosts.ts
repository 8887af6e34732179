/** A host that a connection names; null for any of its ports. */
export interface NamedHost {
  hostname: string;
  port: string | null;
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** Parses `host` or `host:port`, which the configuration has checked. */
export function namedHost(text: string): NamedHost {
  // A URL leaves out the default port of its protocol, so that it is read here.
  const port = /:(\d+)$/.exec(text)?.[1];
  return {
    hostname: new URL(`https://${text}/`).hostname,
    port: port === undefined ? null : String(Number(port)),
  };
}

/** Whether a URL leads to one of these hosts. */
export function isAmong(url: URL, hosts: readonly NamedHost[]): boolean {
  const port = url.port === '' ? DEFAULT_PORTS[url.protocol] : url.port;
  return hosts.some((host) => host.hostname === url.hostname && (host.port === null || host.port === port));
}

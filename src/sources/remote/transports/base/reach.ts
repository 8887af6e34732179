import { lookup } from 'node:dns/promises';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { Reach } from './transport.js';

/**
 * Resolves a host, then asks it. `ask` returns what it answered. Errors of both are the finding; anything else is
 * thrown on.
 */
export async function reachHost(url: URL, ask: () => Promise<string>): Promise<Reach> {
  const { host, hostname } = url;
  try {
    const addresses = await addressesOf(hostname.replace(/^\[|\]$/g, ''));
    return { host, found: `${addresses.join(', ')}: ${await ask()}` };
  } catch (error) {
    if (error instanceof Hyper2kvmError) return { host, found: error };
    throw error;
  }
}

async function addressesOf(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new Hyper2kvmError('remote.unreachable', `the name ${name} cannot be resolved`, {
      advice: `Check the name and this host’s resolver: \`getent hosts ${name}\`.`,
      cause,
    });
  }
}

import { z } from 'zod';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { interrupted } from '../http/errors.js';
import type { Secret } from '../http/exchange.js';
import { type ArmClient, ArmError } from './arm-client.js';

const HOURS = 24;
const SECONDS = HOURS * 60 * 60;
const sasForm = z.union([
  z.object({ accessSAS: z.string() }).transform(({ accessSAS }) => accessSAS),
  z
    .object({ properties: z.object({ output: z.object({ accessSAS: z.string() }) }) })
    .transform(({ properties }) => properties.output.accessSAS),
]);

/** Ends the access to a disk or snapshot. Resolves also if there is none, or if it is gone. */
export async function endAccess(arm: ArmClient, id: string, signal: AbortSignal): Promise<void> {
  try {
    await arm.run('POST', `${id}/endGetAccess`, null, signal);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** A subscription that is not found is one that may not be seen any more: what is in it is still there. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof ArmError) || error.status !== 404) return false;
  return error.armCode !== '' && error.armCode.toLowerCase() !== 'subscriptionnotfound';
}

/** The right to read a disk or snapshot for a day, renewed when half of it is over. */
export class DiskAccess {
  readonly #arm: ArmClient;
  readonly #id: string;
  readonly #now: () => number;
  #url: URL | null = null;
  #grantedAt = 0;
  /** Set once the bytes have moved: what is open has the former address. */
  #moved: Hyper2kvmError | null = null;
  #renewing: Promise<void> | null = null;

  constructor(arm: ArmClient, id: string, now: () => number = Date.now) {
    this.#arm = arm;
    this.#id = id;
    this.#now = now;
  }

  /** Where the bytes are, without what gives the right to read them. */
  get address(): URL {
    const address = new URL(this.#url!);
    address.search = '';
    return address;
  }

  /** Errors: `remote.locked` if others read the disk, `remote.permission`. */
  async begin(signal: AbortSignal): Promise<void> {
    const request = { access: 'Read', durationInSeconds: SECONDS };
    const answer = sasForm.safeParse(
      await this.#arm.run('POST', `${this.#id}/beginGetAccess`, request, signal),
    );
    if (!answer.success || !URL.canParse(answer.data))
      throw interrupted(`${this.#id}: Azure gives no address`);
    const url = new URL(answer.data);
    if (url.protocol !== 'https:' && !/^(127(\.\d{1,3}){3}|localhost)$/.test(url.hostname))
      throw new Hyper2kvmError('remote.not-allowed', `Azure gives an address at ${url.host} without TLS`);
    const isElsewhere =
      this.#url !== null && url.origin + url.pathname !== this.#url.origin + this.#url.pathname;
    this.#url = url;
    this.#grantedAt = this.#now();
    if (isElsewhere)
      this.#moved = interrupted(`${this.#id} has another address after its access was renewed`);
    this.#refuseMoved();
  }

  end(signal: AbortSignal): Promise<void> {
    return endAccess(this.#arm, this.#id, signal);
  }

  /** What a request for bytes needs. */
  async secret(signal: AbortSignal): Promise<Secret> {
    this.#refuseMoved();
    if (this.#now() - this.#grantedAt > (SECONDS / 2) * 1000) await this.#renew(signal);
    return { headers: {}, query: this.#url!.search.slice(1) };
  }

  /** Replaces an access that was refused, unless another request has done so already. */
  async renewFor(refused: Secret, signal: AbortSignal): Promise<boolean> {
    this.#refuseMoved();
    if (this.#url!.search.slice(1) === refused.query) await this.#renew(signal);
    return true;
  }

  /** The next attempt has the new address, and continues. */
  #refuseMoved(): void {
    if (this.#moved !== null) throw this.#moved;
  }

  /** Requests at the same time share one renewal. */
  async #renew(signal: AbortSignal): Promise<void> {
    this.#renewing ??= this.#replace(signal).finally(() => {
      this.#renewing = null;
    });
    await this.#renewing;
  }

  /** A disk has one access at a time. */
  async #replace(signal: AbortSignal): Promise<void> {
    await this.end(signal);
    await this.begin(signal);
  }
}

import {
  AzureCliCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import { z } from 'zod';
import type { AzureConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { readCredential } from '../base/credential.js';
import type { Exchange } from '../http/exchange.js';
import { identityClient } from './identity-client.js';

/** Returns a token for Azure's interface, a new one when the last is about to expire. */
export type Token = (signal: AbortSignal) => Promise<string>;

interface Way {
  name: string;
  credential: TokenCredential;
}

/**
 * Returns the token of an application with a secret, else of the first that there is: workload identity, managed
 * identity, `az login`. Errors: `remote.auth`, `remote.expired`, `remote.secret-unreadable`, those of the
 * connection to whoever gives tokens.
 */
export function tokenOf(connection: AzureConnection, exchange: Exchange): Token {
  const scope = `${new URL(connection.url).origin}/.default`;
  const { client, takeFailure } = identityClient(exchange);
  const options = {
    httpClient: client,
    authorityHost: connection.login_url,
    // The public cloud's list of hosts does not have those of others.
    disableInstanceDiscovery: new URL(connection.login_url).host !== 'login.microsoftonline.com',
    retryOptions: { maxRetries: 0 },
  };
  const { tenant, client_id: clientId } = connection;
  let known: { ways: Way[]; secret: string } | null = null;
  return async (signal) => {
    const secret = connection.secret === '' ? '' : await readCredential(connection.secret);
    // The library keeps its tokens with the credential; another secret is another one.
    if (known?.secret !== secret)
      known = {
        secret,
        ways:
          secret === ''
            ? ambientWays({ tenant, clientId }, options)
            : [
                {
                  name: 'secret',
                  credential: new ClientSecretCredential(tenant!, clientId!, secret, options),
                },
              ],
      };
    const failures: { name: string; error: unknown }[] = [];
    for (const { name, credential } of known.ways) {
      try {
        const token = await credential.getToken(scope, { abortSignal: signal });
        if (token !== null) return token.token;
      } catch (error) {
        signal.throwIfAborted();
        failures.push({ name, error: takeFailure() ?? error });
      }
    }
    throw refusalOf(failures, connection);
  };
}

type Options = NonNullable<ConstructorParameters<typeof ClientSecretCredential>[3]>;

function ambientWays(
  { tenant, clientId }: { tenant: string | undefined; clientId: string | undefined },
  options: Options,
): Way[] {
  const client = clientId === undefined ? {} : { clientId };
  const directory = tenant === undefined ? {} : { tenantId: tenant };
  const ways: Way[] = [
    { name: 'managed identity', credential: new ManagedIdentityCredential({ ...client, ...options }) },
    { name: 'az login', credential: new AzureCliCredential(directory) },
  ];
  // Of a pod of Kubernetes.
  if (process.env.AZURE_FEDERATED_TOKEN_FILE !== undefined)
    ways.unshift({
      name: 'workload identity',
      credential: new WorkloadIdentityCredential({ ...client, ...directory, ...options }),
    });
  return ways;
}

/** What the library makes of a refusal: the number of its reason is with the cause. */
const serverErrorForm = z.object({ cause: z.object({ errorNo: z.coerce.number().int() }) });

/** AADSTS7000222: the secret is too old. */
const EXPIRED_SECRET = 7_000_222;

/** Without the server's words, which may repeat what it was sent. */
function refusalOf(
  failures: readonly { name: string; error: unknown }[],
  { login_url: loginUrl, secret }: AzureConnection,
): Hyper2kvmError {
  const [{ error: first } = { error: null }] = failures;
  if (secret !== '' && first instanceof Hyper2kvmError) return first;
  const host = new URL(loginUrl).host;
  const codes = failures.flatMap(({ error }) => serverErrorForm.safeParse(error).data?.cause.errorNo ?? []);
  const shown = codes.length === 0 ? '' : ` (${codes.map((code) => `AADSTS${code}`).join(', ')})`;
  if (codes.includes(EXPIRED_SECRET))
    return new Hyper2kvmError('remote.expired', `${host}: the client secret has expired${shown}`, {
      advice: 'Create a new one for the application, and store it as the credential.',
    });
  if (secret !== '')
    return new Hyper2kvmError('remote.auth', `${host} gives no token${shown}`, {
      advice:
        'Check `tenant` and `client_id` of the connection, and its credential: the value of the client secret, not its id.',
    });
  const tried = failures.map(({ name }) => name).join(', ');
  return new Hyper2kvmError('remote.auth', `no token for Azure: tried ${tried}${shown}`, {
    advice:
      'Set `tenant`, `client_id` and `secret` of the connection, or run on a VM of Azure that has an identity. `az login` counts for `convert` only.',
    cause: first,
  });
}

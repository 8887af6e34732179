import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Config } from '../config/schema.js';
import { errorCode } from '../errors/errno.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { NewNotification } from '../queue/outbox.js';
import { run } from '../tools/run.js';

export type Webhook = Config['notify']['webhooks'][number];
export type NotifyCommand = Config['notify']['commands'][number];

/**
 * Delivers once, within the receiver's time limit. A webhook must answer 2xx, a command must exit with 0.
 * Errors: `notify.refused`, `notify.unreachable`, `notify.secret`, `tool.*`; none contains the URL, which may
 * include a token.
 */
export async function deliver(
  target: Webhook | NotifyCommand,
  notification: NewNotification,
  signal: AbortSignal,
): Promise<void> {
  if ('url' in target) return post(target, notification, signal);
  const [file, ...args] = target.command as [string, ...string[]];
  await run(file, args, { signal, timeoutSeconds: target.timeout_seconds, input: notification.body });
}

async function post(target: Webhook, { key, body }: NewNotification, signal: AbortSignal): Promise<void> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'user-agent': 'hyper2kvm',
    'idempotency-key': key,
  };
  if (target.secret_file !== undefined) headers['hyper2kvm-signature'] = await sign(target.secret_file, body);
  const response = await fetch(target.url, {
    method: 'POST',
    headers,
    body,
    // Only the configured receiver gets it.
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(target.timeout_seconds * 1000)]),
  }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw unreachable(target, cause);
  });
  await response.body?.cancel();
  if (response.ok) return;
  throw new Hyper2kvmError('notify.refused', `${target.name} answered ${response.status}`, {
    retryable: true,
  });
}

/**
 * Returns `sha256=` and the HMAC-SHA256 (RFC 2104) of the body in hex; one line end after the secret in its
 * file is not part of it.
 */
async function sign(secretFile: string, body: string): Promise<string> {
  let secret: string;
  try {
    secret = (await readFile(secretFile, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw secretError(`${secretFile} cannot be read: ${errorRecord(cause).message}`, cause);
  }
  if (secret === '') throw secretError(`${secretFile} is empty`);
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

function secretError(message: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('notify.secret', message, {
    retryable: true,
    cause,
  });
}

/** fetch has the reason in the causes of its `TypeError: fetch failed`. */
function unreachable({ name, timeout_seconds }: Webhook, thrown: unknown): Hyper2kvmError {
  const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  const why = timedOut ? `no answer in ${timeout_seconds} s` : (errorCode(cause) ?? 'no connection');
  return new Hyper2kvmError('notify.unreachable', `${name} cannot be reached: ${why}`, {
    retryable: true,
  });
}

import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { ByteRange, RemoteFile, TransportContext } from '../base/transport.js';
import { parseContentRange } from './content-range.js';
import { connectionError, interrupted, truncated } from './errors.js';
import type { Answer, Exchange } from './exchange.js';
import { pageList } from './page-list.js';

/** A file of a web server, with the ETag that it has there, if it is a strong one. */
export type HttpFile = RemoteFile & { etag: string | null };

/**
 * Asks for the first byte of a file: the answer tells its size, whether parts can be asked for, and what shows
 * a change. (HEAD is refused by URLs that are signed for GET.)
 */
export async function openHttpFile(
  name: string,
  url: URL,
  exchange: Exchange,
  { signal, log }: Pick<TransportContext, 'signal' | 'log'>,
): Promise<HttpFile> {
  const answer = await exchange.get(url, { range: 'bytes=0-0' }, [200, 206, 416], { signal });
  // The one byte is read, so that the connection can be used again; a whole file is not.
  if (answer.status === 206 && answer.headers['content-length'] === '1') answer.body.resume();
  else answer.body.destroy();
  const facts = factsOf(answer);
  refuseEncoded(answer, name);
  const isPageBlob = answer.headers['x-ms-blob-type'] === 'PageBlob';
  let data: RemoteFile['data'] = null;
  if (isPageBlob && facts.hasRanges)
    data = await pageList(exchange, url, facts.etag, signal).catch((err: unknown) => {
      if (!(err instanceof Hyper2kvmError) || err.retryable) throw err;
      log.warn({ err, file: name }, 'page list cannot be read, reading the whole blob');
      return null;
    });
  return {
    name,
    size: facts.size,
    etag: facts.etag,
    validator: facts.etag ?? facts.modified,
    hasRanges: facts.hasRanges,
    data,
    origin: answer.origin,
    read: (range, during) =>
      range === null ? whole(exchange, url, facts, during) : part(exchange, url, facts, range, during),
  };
}

interface Facts {
  size: number;
  hasRanges: boolean;
  /** Strong, in its quotes. */
  etag: string | null;
  modified: string | null;
}

function factsOf({ status, headers, origin }: Answer): Facts {
  const { etag, 'last-modified': modified } = headers;
  const validators = {
    // A weak one does not promise equal bytes (RFC 9110, 8.8.1).
    etag: etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : null,
    modified: modified ?? null,
  };
  const ranged = parseContentRange(headers['content-range']);
  if (status === 416) {
    if (ranged?.total === 0) return { size: 0, hasRanges: false, ...validators };
    throw interrupted(`${origin}: the server refuses the range of the first byte`);
  }
  if (status === 206 && ranged !== null && ranged.total !== null && ranged.range?.start === 0)
    return { size: ranged.total, hasRanges: true, ...validators };
  const size = Number(headers['content-length']);
  // A 206 without a usable Content-Range: its length is not the file's.
  if (status !== 200 || !Number.isSafeInteger(size))
    throw new Hyper2kvmError(
      'remote.not-allowed',
      `${origin}: the server does not tell the size of the file`,
    );
  return { size, hasRanges: false, ...validators };
}

/** Names of files that are compressed by themselves; some servers declare that as the answer's encoding. */
const COMPRESSED_NAME = /\.(gz|tgz|bz2|tbz2?|xz|txz|zst|tzst|z|br)$/i;

/** Of RFC 9110. Others, such as `aws-chunked` of S3, are kept with an object and say nothing of its bytes. */
const COMPRESSION = /(^|[,\s])(x-)?(gzip|compress|deflate|br|zstd)\b/i;

/** Nobody asked for it: what arrives would be a compressed file under the name of the other. */
function refuseEncoded({ headers, origin }: Answer, name: string): void {
  const encoding = headers['content-encoding'] ?? '';
  if (!COMPRESSION.test(encoding) || COMPRESSED_NAME.test(name)) return;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `${origin}: the server sends the file compressed (Content-Encoding: ${printable(encoding, 40)})`,
    {
      advice:
        'Store it on the server as it is, without an encoding, or under a name such as `web01.vmdk.gz`.',
    },
  );
}

/** Requests for parts are conditional, so that no part of a newer file is mixed in. */
function conditions({ etag, modified }: Facts): Record<string, string> {
  if (etag !== null) return { 'if-match': etag };
  return modified === null ? {} : { 'if-unmodified-since': modified };
}

async function* part(
  exchange: Exchange,
  url: URL,
  facts: Facts,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const headers = { range: `bytes=${start}-${end - 1}`, ...conditions(facts) };
  const answer = await exchange.get(url, headers, [200, 206], { signal });
  const { range, total } = parseContentRange(answer.headers['content-range']) ?? { range: null, total: null };
  const isAsked =
    answer.status === 206 && range?.start === start && range.end === end && total === facts.size;
  if (!isAsked) {
    answer.body.destroy();
    throw interrupted(
      answer.status === 200
        ? `${answer.origin}: the server sent the whole file instead of bytes ${start}-${end - 1}`
        : `${answer.origin}: bytes ${start}-${end - 1} were asked for, and the answer is of others`,
    );
  }
  refuseChanged(answer, facts);
  yield* bodyOf(answer, end - start, signal);
}

async function* whole(
  exchange: Exchange,
  url: URL,
  facts: Facts,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const answer = await exchange.get(url, conditions(facts), [200], { signal });
  refuseChanged(answer, facts);
  yield* bodyOf(answer, facts.size, signal);
}

/** The condition of the request is not enough: servers ignore it, and one by time lets an older file pass. */
function refuseChanged(answer: Answer, { etag, modified }: Facts): void {
  const [before, now] =
    etag === null ? [modified, answer.headers['last-modified']] : [etag, answer.headers.etag];
  if (before === null || now === undefined || now === before) return;
  answer.body.destroy();
  throw interrupted(`${answer.origin}: the file has changed since it was opened`);
}

/** Yields exactly `size` bytes, or throws. */
async function* bodyOf(
  { body, headers, origin }: Answer,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let got = 0;
  try {
    for await (const chunk of body) {
      const bytes = (chunk as Buffer).subarray(0, size - got);
      got += bytes.length;
      if (bytes.length > 0) yield bytes;
      if (bytes.length < (chunk as Buffer).length)
        throw interrupted(`${origin}: the server sent more bytes than the answer may have`);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : connectionError(error, origin);
  } finally {
    body.destroy();
  }
  if (got === size) return;
  const why = `${origin}: ${got} of ${size} bytes came before the answer ended`;
  throw endsByItself(headers) ? truncated(why) : interrupted(why);
}

/** Whether the answer says where it ends. If it ends with the connection, a cut looks like its end. */
function endsByItself(headers: Answer['headers']): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

import { childrenNamed, parseXml } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { ByteRange } from '../base/transport.js';
import { contentOf } from './content.js';
import { interrupted } from './errors.js';
import type { Exchange } from './exchange.js';

/** Of 4 MiB each at most, which is what the XML parser reads. */
const MAX_PAGES = 1_000;
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** The first version of the service with paged lists is 2020-10-02; a signed URL brings its own. */
const VERSION = { 'x-ms-version': '2020-10-02' };

/** Returns the parts of an Azure page blob that hold data; all else is zeros. */
export async function pageList(
  exchange: Exchange,
  url: URL,
  etag: string | null,
  signal: AbortSignal,
): Promise<ByteRange[]> {
  const ranges: ByteRange[] = [];
  let marker = '';
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = `comp=pagelist&maxresults=10000${marker === '' ? '' : `&marker=${encodeURIComponent(marker)}`}`;
    const headers = { ...VERSION, ...(etag === null ? {} : { 'if-match': etag }) };
    const answer = await exchange.get(url, headers, [200], { query, signal });
    const list = parseXml(await contentOf(answer, MAX_PAGE_BYTES, signal));
    // Any other document has no ranges, which would mean that all is zeros.
    if (list.name !== 'PageList') throw interrupted(`${answer.origin}: the answer is not a page list`);
    for (const one of childrenNamed(list, 'PageRange')) {
      const [start, last] = ['Start', 'End'].map((name) => numberOf(childrenNamed(one, name)[0]?.text));
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(last) || last! < start!)
        throw interrupted(`${answer.origin}: the page list has an impossible range`);
      add(ranges, { start: start!, end: last! + 1 });
    }
    marker = childrenNamed(list, 'NextMarker')[0]?.text ?? '';
    if (marker === '') return ranges;
  }
  throw new Hyper2kvmError('remote.interrupted', 'the page list does not end', { retryable: true });
}

function numberOf(text = ''): number {
  return /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
}

function add(ranges: ByteRange[], next: ByteRange): void {
  const last = ranges.at(-1);
  if (last !== undefined && next.start < last.start) throw interrupted('the page list is not in order');
  if (last !== undefined && next.start <= last.end) last.end = Math.max(last.end, next.end);
  else ranges.push(next);
}

import { createHash } from 'node:crypto';
import { type Signer, signerOf } from './chain.js';
import { child, type DerNode, isOid, TAG } from './der.js';
import { badSignature } from './errors.js';
import { authenticodeDigest, type DigestAlgorithm } from './file-digest.js';
import { isPe } from './image.js';
import { MICROSOFT_ROOTS, type Root } from './microsoft-roots.js';
import { digestOf, readSignedData } from './signed-data.js';

/**
 * A catalogue (`.cat`): one signature for the files of a driver package, whose digests it lists. Use:
 *
 *     const catalog = readCatalog(bytes);
 *     catalog.isIntact && catalogHas(catalog, file)
 */
export interface Catalog {
  /** Whether the list is what was signed, with the signer's key. */
  isIntact: boolean;
  /** Null where the signer's certificate is missing. */
  signer: Signer | null;
  digestAlgorithms: ReadonlySet<DigestAlgorithm>;
  /** Digests of its members, in lower-case hexadecimal. */
  members: ReadonlySet<string>;
}

const TRUST_LIST = '2b0601040182370a01';
const INDIRECT_DATA = '2b060104018237020104';
/** Those of driver packages have 10 to 20 KiB. */
const MAX_BYTES = 4 * 1024 ** 2;

/** Throws `guest.signature-invalid`. */
export function readCatalog(bytes: Buffer, roots: readonly Root[] = MICROSOFT_ROOTS): Catalog {
  if (bytes.length > MAX_BYTES) throw badSignature('the catalogue is larger than any');
  const signed = readSignedData(bytes);
  if (signed.contentType !== TRUST_LIST) throw badSignature('it is not a catalogue');
  const members = new Set<string>();
  const digestAlgorithms = new Set<DigestAlgorithm>();
  for (const subject of subjectsOf(signed.content)) {
    const digestInfo = digestInfoOf(subject);
    if (digestInfo === null) continue;
    digestAlgorithms.add(digestOf(child(digestInfo, 0, TAG.sequence)));
    members.add(child(digestInfo, 1, TAG.octetString).content.toString('hex'));
  }
  return { isIntact: signed.isIntact, signer: signerOf(signed, roots), digestAlgorithms, members };
}

/** Whether the file is a member: a program by its Authenticode digest, any other by that of all its bytes. */
export function catalogHas(catalog: Catalog, bytes: Buffer): boolean {
  return memberDigests(bytes, [...catalog.digestAlgorithms]).some((digest) => catalog.members.has(digest));
}

/**
 * Digests by which a catalogue may list the file, in lower-case hexadecimal. Throws `guest.pe-invalid` for a
 * damaged program.
 */
export function memberDigests(
  bytes: Buffer,
  algorithms: readonly DigestAlgorithm[] = ['sha1', 'sha256'],
): string[] {
  const isProgram = isPe(bytes);
  return algorithms.map((algorithm) =>
    (isProgram
      ? authenticodeDigest(bytes, algorithm)
      : createHash(algorithm).update(bytes).digest()
    ).toString('hex'),
  );
}

/**
 * Members of a trust list (Microsoft, "Certificate Trust List Profile"): behind usage, identifiers, dates and
 * algorithm, the only sequence of sequences that begin with an octet string.
 */
function subjectsOf(list: DerNode): DerNode[] {
  return (
    list.children.find(
      ({ tag, children }) => tag === TAG.sequence && children[0]?.children[0]?.tag === TAG.octetString,
    )?.children ?? []
  );
}

/** Algorithm and digest of a member's attribute `SPC_INDIRECT_DATA`. */
function digestInfoOf(subject: DerNode): DerNode | null {
  const found = subject.children[1]?.children.find(({ children }) => isOid(children[0], INDIRECT_DATA));
  return found?.children[1]?.children[0]?.children[1] ?? null;
}

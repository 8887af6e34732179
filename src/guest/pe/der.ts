import { Constructed, fromBER } from 'asn1js';
import { badSignature } from './errors.js';

/** One element of ASN.1 in DER or BER. */
export interface DerNode {
  /** Universal tags by their number; context tags by `0xa0 +` theirs. */
  tag: number;
  children: DerNode[];
  /** Its value, without tag and length. */
  content: Buffer;
  /** With tag and length. */
  raw: Buffer;
}

export const TAG = { integer: 2, bitString: 3, octetString: 4, oid: 6, sequence: 16, set: 17 } as const;
export const contextTag = (number: number): number => CONTEXT_TAG + number;

const CONTEXT_TAG = 0xa0;
const CONTEXT_CLASS = 3;
/** A member of a catalogue has about 20 nodes, and a driver package some dozens of members. */
const LIMITS = { maxDepth: 40, maxNodes: 200_000, maxContentLength: 4 * 1024 ** 2, parseEmbedded: false };

/** Throws `guest.signature-invalid`. */
export function parseDer(bytes: Buffer): DerNode {
  const { offset, result } = decode(bytes);
  if (offset === -1) throw badSignature('it is not ASN.1');
  return nodeOf(result);
}

/** The library answers most damage, and throws plain errors for some: a time that is none. */
function decode(bytes: Buffer): ReturnType<typeof fromBER> {
  try {
    return fromBER(bytes, LIMITS);
  } catch (error) {
    throw badSignature('it is not ASN.1', error);
  }
}

type Block = ReturnType<typeof fromBER>['result'];

function nodeOf(block: Block): DerNode {
  const view = block.valueBeforeDecodeView;
  const raw = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const header = block.idBlock.blockLength + block.lenBlock.blockLength;
  const { tagClass, tagNumber } = block.idBlock;
  return {
    tag: tagClass === CONTEXT_CLASS ? contextTag(tagNumber) : tagNumber,
    children:
      block instanceof Constructed ? block.valueBlock.value.map((child) => nodeOf(child as Block)) : [],
    content: raw.subarray(header),
    raw,
  };
}

/** Child `index`, which must be there and have the tag. */
export function child(node: DerNode, index: number, tag?: number): DerNode {
  const found = node.children[index];
  if (found === undefined || (tag !== undefined && found.tag !== tag))
    throw badSignature('its structure is not that of a signature');
  return found;
}

/** Object identifiers are compared in their encoded form. */
export const isOid = (node: DerNode | undefined, oid: string): boolean =>
  node?.tag === TAG.oid && node.content.toString('hex') === oid;

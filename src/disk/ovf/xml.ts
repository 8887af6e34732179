import { corrupt } from '../base/bytes.js';
import { decodeText } from '../base/text.js';

/** An element. Names are local names, because the structure of an OVF needs no prefixes. */
export interface XmlElement {
  name: string;
  attributes: ReadonlyMap<string, string>;
  children: XmlElement[];
  /** Its own text, trimmed. */
  text: string;
}

const MAX_BYTES = 4 * 1024 * 1024;
const ENCODING = /^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']/;
const MAX_DEPTH = 64;
const MAX_ELEMENTS = 50_000;
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\?[\s\S]*?\?>|<\/([^\s>]+)\s*>|<([A-Za-z_][^\s/>]*)((?:\s+[^\s=/>]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/gy;
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/**
 * Parses a document of elements, attributes and text. A document type is refused, and with it every custom
 * entity, so nothing can be included or expanded. Throws `fetch.corrupt`.
 */
export function parseXml(bytes: Buffer): XmlElement {
  if (bytes.length > MAX_BYTES) throw corrupt('the XML is larger than 4 MiB');
  const text = decodeText(bytes, ENCODING);
  const root: XmlElement = { name: '', attributes: new Map(), children: [], text: '' };
  const open: XmlElement[] = [root];
  let elements = 0;
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null)
      throw corrupt(
        `the XML cannot be read at character ${at}${text.startsWith('<!', at) ? ' (a DTD is not allowed)' : ''}`,
      );
    at = TOKEN.lastIndex;
    const [token, cdata, closing, opening, attributes, empty] = match;
    const current = open.at(-1)!;
    if (opening !== undefined) {
      elements += 1;
      if (elements > MAX_ELEMENTS || open.length > MAX_DEPTH)
        throw corrupt('the XML has more elements or levels than any real one');
      const element = {
        name: localName(opening),
        attributes: readAttributes(attributes ?? ''),
        children: [],
        text: '',
      };
      current.children.push(element);
      if (empty === '') open.push(element);
    } else if (closing !== undefined) {
      if (open.length < 2 || localName(closing) !== current.name)
        throw corrupt('the XML’s elements are not properly nested');
      current.text = current.text.trim();
      open.pop();
    } else if (cdata !== undefined) current.text += cdata;
    else if (!token.startsWith('<')) current.text += decode(token);
  }
  const [document, ...others] = root.children;
  if (open.length !== 1 || document === undefined || others.length > 0 || root.text.trim() !== '')
    throw corrupt('the XML is not a complete document');
  return document;
}

export function childrenNamed(element: XmlElement | undefined, name: string): XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? [];
}

function localName(name: string): string {
  return name.split(':').at(-1)!;
}

function readAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  // `<val type="Folder" xsi:type="ManagedObjectReference">`: the one without a prefix is the element's own.
  for (const [, name, double, single] of text.matchAll(ATTRIBUTE))
    if (!attributes.has(localName(name!)) || !name!.includes(':'))
      attributes.set(localName(name!), decode(double ?? single ?? ''));
  return attributes;
}

function decode(text: string): string {
  return text.replace(/&([^;&\s]*);?/g, (whole, entity: string) => {
    const known = ENTITIES[entity];
    if (known !== undefined && whole.endsWith(';')) return known;
    const number = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(entity);
    const code =
      number === null
        ? Number.NaN
        : Number.parseInt(number[1] ?? number[2]!, number[1] === undefined ? 10 : 16);
    const isHalf = code >= 0xd800 && code <= 0xdfff;
    if (!(code > 0 && code <= 0x10ffff) || isHalf)
      throw corrupt('the XML uses an entity that is not one of XML’s own');
    return String.fromCodePoint(code);
  });
}

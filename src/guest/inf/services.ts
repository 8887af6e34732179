import { type InfRegistry, registryOf } from './add-registry.js';
import { infNumber } from './number.js';
import type { InfSections } from './sections.js';

/** A service that an install section adds: the values of its key, and what AddReg puts below it. */
export interface InfService {
  name: string;
  /** Whether it is the driver of the device (SPSVCINST_ASSOCSERVICE). */
  isFunctionDriver: boolean;
  displayName: string | null;
  type: number;
  start: number;
  errorControl: number;
  /** Number of the directory (12: `system32\drivers`, 13: the driver store), and the path below it. */
  binary: { directory: number; path: string };
  loadOrderGroup: string | null;
  dependencies: string[];
  registry: InfRegistry[];
}

const FUNCTION_DRIVER = 0x2;

/** What the AddService directives of `section` add: of an install section's `.Services`. */
export function servicesOf(inf: InfSections, section: string): InfService[] {
  return (inf.lines(section) ?? []).flatMap(({ key, fields: [name = '', flags = '', values] }) => {
    if (key?.toLowerCase() !== 'addservice' || name === '' || values === undefined) return [];
    const service = serviceOf(inf, name, values);
    return service === null
      ? []
      : [{ ...service, isFunctionDriver: ((infNumber(flags) ?? 0) & FUNCTION_DRIVER) !== 0 }];
  });
}

function serviceOf(
  inf: InfSections,
  name: string,
  section: string,
): Omit<InfService, 'isFunctionDriver'> | null {
  const number = (key: string) => infNumber(inf.fields(section, key)?.[0] ?? '');
  const text = (key: string) => inf.fields(section, key)?.[0] || null;
  const [type, start, binary] = [number('ServiceType'), number('StartType'), binaryOf(text('ServiceBinary'))];
  if (type === null || start === null || binary === null) return null;
  return {
    name,
    displayName: text('DisplayName'),
    type,
    start,
    errorControl: number('ErrorControl') ?? 0,
    binary,
    loadOrderGroup: text('LoadOrderGroup'),
    dependencies: (inf.fields(section, 'Dependencies') ?? []).filter((dependency) => dependency !== ''),
    registry: addRegistry(inf, section),
  };
}

/** `%12%\viostor.sys`. */
function binaryOf(text: string | null): InfService['binary'] | null {
  const [, directory, path] = /^%(\d{1,5})%\\+(.+)$/.exec(text ?? '') ?? [];
  return directory === undefined || path === undefined ? null : { directory: Number(directory), path };
}

/** What the AddReg directives of the section name. */
export function addRegistry(inf: InfSections, section: string): InfRegistry[] {
  return directives(inf, section, 'AddReg').flatMap((name) =>
    (inf.lines(name) ?? []).flatMap((line) => registryOf(line) ?? []),
  );
}

/** Fields of all lines of the section with that key: a directive may stand there more than once. */
export function directives(inf: InfSections, section: string, key: string): string[] {
  return (inf.lines(section) ?? [])
    .filter((line) => line.key?.toLowerCase() === key.toLowerCase())
    .flatMap(({ fields }) => fields)
    .filter((field) => field !== '');
}

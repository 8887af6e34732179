import type { WindowsTarget } from './decoration.js';
import { infNumber } from './number.js';
import type { InfSections } from './sections.js';

/** One file that an install section copies. */
export interface InfFile {
  /** In the package: its directory, beside the INF where empty, and name. */
  sourceDirectory: string;
  source: string;
  /** Where it goes: a directory's number (12 is drivers, 13 the driver store), a path below it, and its name. */
  directory: number;
  subdirectory: string;
  target: string;
}

/** What one `CopyFiles` directive's field names: `@file`, or a section with a file a line. */
export function copiedFiles(inf: InfSections, field: string, target: WindowsTarget): InfFile[] {
  if (field.startsWith('@')) {
    const name = field.slice(1);
    return [fileOf(inf, 'defaultdestdir', name, name, target)];
  }
  return (inf.lines(field) ?? []).flatMap(({ fields: [name = '', source = ''] }) =>
    name === '' ? [] : [fileOf(inf, field, name, source === '' ? name : source, target)],
  );
}

function fileOf(
  inf: InfSections,
  section: string,
  name: string,
  source: string,
  target: WindowsTarget,
): InfFile {
  const destination =
    inf.fields('DestinationDirs', section) ?? inf.fields('DestinationDirs', 'DefaultDestDir') ?? [];
  const [directory = '', subdirectory = ''] = destination;
  return {
    source,
    sourceDirectory: sourceDirectory(inf, source, target),
    target: name,
    directory: infNumber(directory) ?? DEFAULT_DIRECTORY,
    subdirectory: trimmed(subdirectory),
  };
}

/** `\Windows\System32` where the INF does not say. */
const DEFAULT_DIRECTORY = 11;

/** The path of the file's medium, then the file's own: both may depend on the architecture. */
function sourceDirectory(inf: InfSections, file: string, { architecture }: WindowsTarget): string {
  const both = (section: string, key: string) =>
    inf.fields(`${section}.${architecture}`, key) ?? inf.fields(section, key) ?? [];
  const [medium = '', subdirectory = ''] = both('SourceDisksFiles', file);
  const [, , , path = ''] = medium === '' ? [] : both('SourceDisksNames', medium);
  return [path, subdirectory]
    .map(trimmed)
    .filter((part) => part !== '')
    .join('\\');
}

const trimmed = (path: string): string => path.replace(/^[\\.]+(?=\\|$)|\\+$/g, '').replace(/^\\+/, '');

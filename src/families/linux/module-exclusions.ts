import { mapAssignments } from '../../guest/shell-assignments.js';
import { mapLines } from '../../text/lines.js';

/**
 * The ways in which configuration excludes a driver, each reversed for the drivers in question. All functions are
 * pure but for `taken`, to which they add the drivers that were excluded.
 */
export interface Exclusions {
  /** Names with `_`. */
  drivers: ReadonlySet<string>;
  taken: Set<string>;
}

/** Returns the drivers that a name means: dracut takes expressions, modprobe's `install` shell patterns. */
function driversMeant(name: string, { drivers }: Exclusions): string[] {
  const plain = name.replaceAll('-', '_');
  if (/^\w+$/.test(plain)) return drivers.has(plain) ? [plain] : [];
  // Up to the first sign of a pattern; `.*virtio.*` begins with one.
  const [literal = ''] = /^\w*/.exec(plain.replace(/^[\^(.*?]+/, '')) ?? [];
  return literal === '' ? [] : [...drivers].filter((driver) => driver.startsWith(literal));
}

const isTaken = (name: string, exclusions: Exclusions): boolean => {
  const meant = driversMeant(name, exclusions);
  for (const driver of meant) exclusions.taken.add(driver);
  return meant.length > 0;
};

const RULE = /^\s*(?:(blacklist)\s+(\S+)\s*(?:#.*)?$|(install)\s+(\S+)\s+(.*)$|(alias)\s+(\S+)\s+off\s*$)/;

/** Comments out modprobe.d(5)'s `blacklist` lines, `alias … off`, and `install` lines that load nothing. */
export function admitInModprobe(text: string, exclusions: Exclusions): string {
  return mapLines(text, (line) => {
    const [, blacklist, blacklisted = '', install, installed = '', command = '', , aliased = ''] =
      RULE.exec(line) ?? [];
    if (blacklist === undefined && install === undefined && aliased === '') return line;
    if (install !== undefined && /\b(?:modprobe|insmod)\b/.test(command)) return line;
    return isTaken(blacklisted || installed || aliased, exclusions) ? `#${line}` : line;
  });
}

/** Removes drivers from dracut.conf(5)'s `omit_drivers`, in every spelling of the shell. */
export function admitInDracut(text: string, exclusions: Exclusions): string {
  return mapAssignments(text, ({ name }, value) =>
    name === 'omit_drivers' ? withoutWords(value, exclusions) : value,
  );
}

function withoutWords(value: string, exclusions: Exclusions): string {
  const pieces = value.split(/(\s+|["'])/);
  return pieces.map((piece) => (isTaken(piece, exclusions) ? '' : piece)).join('');
}

/** Options of the kernel, dracut, kmod, initramfs-tools and mkinitfs, and mkinitcpio: lists with commas. */
const OPTION =
  /(?<![^\s"'=])((?:rd\.driver\.blacklist|rdblacklist|modprobe\.blacklist|module_blacklist|blacklist|disablemodules)=)([^\s"']+)(\s?)/g;

/** True if a list that `admitOnCommandLine` changes may be in the text. */
export const mayExclude = (text: string): boolean => /blacklist=|disablemodules=/.test(text);

/** Removes drivers from the lists on a kernel's command line, and a list that becomes empty. */
export function admitOnCommandLine(args: string, exclusions: Exclusions): string {
  return args.replace(OPTION, (whole, option: string, list: string, blank: string) => {
    const names = list.split(',');
    const left = names.filter((name) => !isTaken(name, exclusions));
    if (left.length === names.length) return whole;
    return left.length === 0 ? '' : `${option}${left.join(',')}${blank}`;
  });
}

/** The Windows that a driver is chosen for. */
export interface WindowsTarget {
  architecture: 'x86' | 'amd64' | 'arm64';
  /** 10.0 for Windows 10 and 11. */
  version: readonly [major: number, minor: number];
  build: number;
  product: 'workstation' | 'domain-controller' | 'server';
}

const PRODUCT_TYPE = { workstation: 1, 'domain-controller': 2, server: 3 } as const;

/** What a section's name says behind its dot: `NTamd64.10.0...14393`. Null: it does not say. */
interface Decoration {
  architecture: string | null;
  version: readonly [number, number] | null;
  product: number | null;
  suite: number | null;
  build: number | null;
}

/**
 * The name of the section that Windows takes: `base` with the decoration that fits the target best, or
 * `base` itself. Null where none fits. `names` are all sections of the file in lower case.
 *
 * A decoration fits where its architecture is the target's, its version and build are not later, and its
 * product type is the target's. The latest version goes first, then the latest build, then one that names
 * the product type, then one that names the architecture, then `.NT` (Microsoft, "Combining Platform Extensions with
 * Operating System Versions"). One without an architecture is for x86 only (since Windows Server 2003 SP1):
 * `undecorated` says whether `base` by itself is for all, as install sections are and sections of models
 * are not.
 */
export function bestSection(
  names: ReadonlySet<string>,
  base: string,
  target: WindowsTarget,
  undecorated: 'all' | 'x86',
): string | null {
  const lower = base.toLowerCase();
  let best: { name: string; rank: number[] } | null = null;
  for (const name of names) {
    const decoration = name === lower ? NONE : decorationOf(name, lower);
    if (decoration === null || !fits(decoration, target, undecorated)) continue;
    const rank = rankOf(decoration);
    if (best === null || compare(rank, best.rank) > 0) best = { name, rank };
  }
  return best?.name ?? null;
}

const NONE: Decoration = { architecture: null, version: null, product: null, suite: null, build: null };

function decorationOf(name: string, base: string): Decoration | null {
  return name.startsWith(`${base}.`) ? parseDecoration(name.slice(base.length + 1)) : null;
}

/** `nt[architecture][.[major][.[minor][.[product type][.[suite mask][.[build]]]]]]`, in lower case. */
function parseDecoration(text: string): Decoration | null {
  const [platform = '', ...rest] = text.split('.');
  const architecture = /^nt(x86|amd64|arm64|arm|ia64)?$/.exec(platform);
  if (architecture === null || rest.length > 5) return null;
  const numbers = rest.map((part) => (part === '' ? null : toNumber(part)));
  if (numbers.some((number) => number !== null && Number.isNaN(number))) return null;
  const [major = null, minor = null, product = null, suite = null, build = null] = numbers;
  const version = major === null ? null : ([major, minor ?? 0] as const);
  return { architecture: architecture[1] ?? null, version, product, suite, build };
}

const toNumber = (text: string): number =>
  /^(0x[\da-f]+|\d+)$/.test(text) && text.length <= 10 ? Number(text) : Number.NaN;

function fits(decoration: Decoration, target: WindowsTarget, undecorated: 'all' | 'x86'): boolean {
  const { architecture, version, product, suite, build } = decoration;
  if (architecture === null && undecorated === 'x86' && target.architecture !== 'x86') return false;
  if (architecture !== null && architecture !== target.architecture) return false;
  if (version !== null && compare(version, target.version) > 0) return false;
  if (build !== null && version !== null && compare(version, target.version) === 0 && build > target.build)
    return false;
  // The editions that suites are for (Small Business, Embedded, …) are not known of the target.
  if (suite !== null && suite !== 0) return false;
  return product === null || product === PRODUCT_TYPE[target.product];
}

function rankOf(decoration: Decoration): number[] {
  const { architecture, version, product, build } = decoration;
  const [major, minor] = version ?? [-1, -1];
  const named = [product !== null, architecture !== null, decoration !== NONE];
  return [major, minor, build ?? -1, ...named.map(Number)];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, number] of a.entries()) {
    const difference = number - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

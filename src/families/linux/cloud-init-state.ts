import type { GuestTree } from '../../guest/tree.js';
import { filesIn } from '../base/edit.js';
import type { Guest } from '../base/fixer.js';
import { readYaml, type YamlFile } from './network/yaml.js';

const ETC = '/etc/cloud';
/** Sorts after every other file, because the last of several settings applies. */
export const OWN_FILE = `${ETC}/cloud.cfg.d/zz-hyper2kvm.cfg`;
const LIBRARY = '/var/lib/cloud';

/** The settings that decide whether cloud-init stays with its instance. */
export interface CloudSettings {
  /** Null if cloud-init's built-in list applies. */
  datasources: readonly string[] | null;
  /** The cached instance is used without asking its datasource. */
  isCacheTrusted: boolean;
  isNetworkDisabled: boolean;
}

/** Returns true if the package is installed; on Debian its configuration may outlive it. */
export function isInstalled(tree: GuestTree): boolean {
  const dpkg = tree.text('/var/lib/dpkg/status')?.text ?? '';
  const status = /^Package: cloud-init\nStatus: \S+ \S+ (\S+)$/m.exec(dpkg)?.[1];
  const isThere = [`${ETC}/cloud.cfg`, '/usr/bin/cloud-init'].some((path) => tree.exists(path));
  return isThere && (status === undefined || status === 'installed');
}

/** Returns true if cloud-init is turned off by one of the documented ways. */
export function isDisabled(tree: GuestTree, commandLines: readonly string[]): boolean {
  const isMasked = (unit: string) => tree.lstat(`/etc/systemd/system/${unit}`)?.target === '/dev/null';
  return (
    tree.exists(`${ETC}/cloud-init.disabled`) ||
    policyOf(tree, commandLines).includes('disabled') ||
    commandLines.some((args) => /(?<!\S)cloud-init=disabled(?!\S)/.test(args)) ||
    ['cloud-init.target', 'cloud-init-main.service'].some(isMasked) ||
    (isMasked('cloud-init-local.service') &&
      ['cloud-init.service', 'cloud-init-network.service'].some(isMasked))
  );
}

/** Reads cloud.cfg and cloud.cfg.d/*.cfg as cloud-init merges them. */
export function readSettings(tree: GuestTree): CloudSettings {
  const files = [`${ETC}/cloud.cfg`, ...filesIn(tree, `${ETC}/cloud.cfg.d`, /\.cfg$/)]
    .map((path) => readYaml(tree.text(path)?.text ?? ''))
    .reverse();
  const last = (...keys: string[]) => firstOf(files, keys);
  return {
    datasources: last('datasource_list'),
    isCacheTrusted: /^(true|1|on|yes)$/i.test(last('manual_cache_clean')?.[0] ?? ''),
    isNetworkDisabled: last('network', 'config')?.[0] === 'disabled',
  };
}

/** Returns the texts at a key in the first file that has it; null if none has. */
function firstOf(files: readonly YamlFile[], keys: readonly string[]): string[] | null {
  for (const file of files) {
    const entry = file.entries(...keys).at(-1);
    if (entry !== undefined) return file.texts(entry.value);
  }
  return null;
}

/**
 * Returns true if ds-identify starts cloud-init without checking that the datasource is available: the list
 * has one entry (and None), one is forced, or the policy says so.
 */
export function isStartedUnseen(
  tree: GuestTree,
  commandLines: readonly string[],
  { datasources }: CloudSettings,
): boolean {
  const forced = commandLines.some((args) => /(?<!\S)(ds|ci\.ds|ci\.datasource)=/.test(args));
  const [, second, ...others] = datasources ?? ['', '', ''];
  return (
    forced ||
    /^[ \t]*datasource[ \t]*:[ \t]*\S/m.test(identifyConfiguration(tree)) ||
    policyOf(tree, commandLines).includes('enabled') ||
    (others.length === 0 && (second === undefined || second === 'None'))
  );
}

const identifyConfiguration = (tree: GuestTree) => tree.text(`${ETC}/ds-identify.cfg`)?.text ?? '';

/**
 * Returns the words of ds-identify's policy (`search`, `found=all`, …); the kernel's command line takes
 * precedence.
 */
function policyOf(tree: GuestTree, commandLines: readonly string[]): string[] {
  const fromKernel = commandLines.flatMap((args) => /(?<!\S)ci\.di\.policy=(\S+)/.exec(args)?.[1] ?? []);
  const fromFile = /^[ \t]*policy[ \t]*:[ \t]*(\S+)/m.exec(identifyConfiguration(tree))?.[1] ?? '';
  return (fromKernel[0] ?? fromFile).split(',');
}

/** The instance that cloud-init set the guest up as. */
export interface CloudInstance {
  directory: string;
  /** `DataSourceVMware`; null if unknown. */
  datasource: string | null;
  /** Where the datasource found its data (`/dev/sr0`); null if it does not say. */
  seed: string | null;
  hasCache: boolean;
  /** The file `manual-clean` is there. */
  isMarked: boolean;
}

export function readInstance(tree: GuestTree): CloudInstance | null {
  const directory = tree.resolve(`${LIBRARY}/instance`);
  if (directory === null || !tree.isDirectory(directory)) return null;
  const text = tree.text(`${directory}/datasource`)?.text ?? '';
  return {
    directory,
    datasource: /^\s*(DataSource\w+)/.exec(text)?.[1] ?? null,
    seed: /\[seed=([^\]\n]*)\]/.exec(text)?.[1] ?? null,
    hasCache: tree.exists(`${directory}/obj.pkl`),
    isMarked: tree.exists(`${directory}/manual-clean`),
  };
}

/**
 * Returns true if the datasource's data move with the guest, so that cloud-init finds the same instance
 * again.
 */
export function movesWithGuest({ datasource, seed }: CloudInstance, { tree, identity }: Guest): boolean {
  if (datasource === 'DataSourceNone' || seed === 'ds_config') return true;
  if (seed === 'ovf-env.xml') return tree.exists(`${LIBRARY}/seed/ovf/ovf-env.xml`);
  if (seed?.startsWith('/var/lib/cloud/seed/') === true) return tree.list(seed).length > 0;
  const label = VOLUMES[datasource ?? ''];
  return label !== undefined && identity.filesystems.some((filesystem) => label.test(filesystem.label ?? ''));
}

/** Labels of the volumes that these datasources look for on every disk. */
const VOLUMES: Record<string, RegExp> = {
  DataSourceNoCloud: /^cidata$/i,
  DataSourceNoCloudNet: /^cidata$/i,
  DataSourceConfigDrive: /^config-2$/i,
};

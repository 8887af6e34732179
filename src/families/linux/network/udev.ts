import type { GuestTree } from '../../../guest/tree.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  type ConfiguredInterface,
  isForeignMac,
  NETWORK_FIXER,
  type NetworkBackend,
  normaliseMac,
} from './backend.js';

const RULES = /^\d\d-.*(net|persistent|network).*\.rules$/;
const ruleFiles = (tree: GuestTree) => filesIn(tree, '/etc/udev/rules.d', RULES);

interface RuleBinding extends ConfiguredInterface {
  /** True if the rule also matches a driver or bus address of the old hypervisor. */
  isPinned: boolean;
}

/**
 * Returns what a rule (udev(7)) ties together: `ATTR{address}=="…" … NAME="eth0"`; null for any other line.
 */
function bindingOf(line: string): RuleBinding | null {
  if (/^\s*(#|$)/.test(line)) return null;
  const name = /\bNAME="([^"%$]+)"/.exec(line)?.[1];
  const address = /\b(?:ATTRS?|SYSFS)\{address\}==?"([^"]+)"/.exec(line)?.[1];
  if (name === undefined || !/SUBSYSTEM=="net"|ATTR\{address\}|SYSFS\{address\}/.test(line)) return null;
  return { name, mac: normaliseMac(address), isPinned: line !== unpinned(line) };
}

/** Returns the rule without the conditions that only the old hypervisor's card meets. */
function unpinned(line: string): string {
  return line
    .replace(/\bDRIVERS=="(vmxnet3?|e1000e?|pcnet32|hv_netvsc|xen[_-]netfront)"/g, 'DRIVERS=="?*"')
    .replace(/,?\s*\b(KERNELS|ENV\{ID_PATH\})=="(pci-)?[0-9a-f]{4}:[0-9a-f]{2}:[^"]*"/g, '')
    .replace(/,?\s*\bENV\{ID_NET_DRIVER\}=="(vmxnet3?|e1000e?|pcnet32)"/g, '');
}

export function ruleBindings(tree: GuestTree): RuleBinding[] {
  return ruleFiles(tree).flatMap((path) =>
    (tree.text(path)?.text ?? '').split('\n').flatMap((line) => bindingOf(line) ?? []),
  );
}

/** Rules bind names; they do not configure interfaces. */
export const udevRules: NetworkBackend = {
  name: 'udev',
  interfaces: () => [],
  unpin: (context) => ({
    operations: ruleFiles(context.tree).flatMap((path) =>
      rewriteFile(
        context.tree,
        path,
        { fixer: NETWORK_FIXER, reason: 'it binds names to cards that only the old hypervisor has' },
        (text) =>
          text
            .split('\n')
            .flatMap((line) => {
              const binding = bindingOf(line);
              if (binding === null) return [line];
              if (isForeignMac(binding.mac, context)) return [];
              return binding.mac === null && binding.isPinned ? [] : [unpinned(line)];
            })
            .join('\n'),
      ),
    ),
    warnings: [],
  }),
};

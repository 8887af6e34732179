import type { GuestTree } from '../../../guest/tree.js';
import { shortLines } from '../../../text/lines.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  addressesIn,
  baseName,
  isForeignMac,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
  normaliseMac,
} from './backend.js';

/** Red Hat and SUSE use the same kind of file: shell assignments, one interface in each file. */
const DIRECTORIES = ['/etc/sysconfig/network-scripts', '/etc/sysconfig/network'];
const configurationFiles = (tree: GuestTree) =>
  DIRECTORIES.flatMap((directory) => filesIn(tree, directory, /^ifcfg-(?!lo$|template$)[\w.:-]+$/)).filter(
    (path) => !/(\.(bak|orig|old|rpmnew|rpmsave|template)|~)$/.test(path),
  );

type Assignments = Record<string, string>;

function assignments(text: string): Assignments {
  const pairs = shortLines(text).flatMap((line) => {
    const [, key, double, single, bare] =
      /^\s*([A-Z][A-Z0-9_]*)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$/.exec(line) ?? [];
    return key === undefined ? [] : [[key, double ?? single ?? bare ?? ''] as const];
  });
  return Object.fromEntries(pairs);
}

/**
 * Bonds, bridges, teams and VLANs are virtual devices; wireless and InfiniBand cards do not exist in a VM.
 */
function isNic(values: Assignments): boolean {
  const type = (values.TYPE ?? values.DEVICETYPE ?? 'Ethernet').toLowerCase();
  const isVirtual =
    values.VLAN === 'yes' ||
    values.ETHERDEVICE !== undefined ||
    values.BONDING_MASTER === 'yes' ||
    values.BRIDGE_PORTS !== undefined ||
    values.BONDING_OPTS !== undefined;
  return type === 'ethernet' && !isVirtual;
}

/** Red Hat's ONBOOT, which defaults to yes, or SUSE's STARTMODE. */
function isAtBoot(values: Assignments): boolean {
  if (/^(wireless|infiniband)$/i.test(values.TYPE ?? '')) return false;
  return !/^no$/i.test(values.ONBOOT ?? '') && !/^(off|manual|ifplugd)$/i.test(values.STARTMODE ?? '');
}

/** SUSE before 11 named the file after the card: `ifcfg-eth-id-00:50:56:…`. */
const MAC_IN_NAME = /-id-(([0-9a-f]{2}:){5}[0-9a-f]{2})$/i;

/** Names that the kernel, systemd and biosdevname give to cards. */
const GIVEN_NAME = /^(eth\d+|en[sopxPX][\dA-Za-z]+|em\d+|p\d+p\d+)([.:_]\w+)?$/;

/**
 * True if the suffix of the file's name is an interface name. On SUSE it always is. On Red Hat,
 * NetworkManager names a file after its connection (`ifcfg-Wired_connection_1`) and omits DEVICE if any card
 * will do, so there the suffix must look like a card's name.
 */
const isName = (path: string, name: string): boolean =>
  !MAC_IN_NAME.test(name) && (path.startsWith(`${DIRECTORIES[1]}/`) || GIVEN_NAME.test(name));

/** Returns the cards below a VLAN, bond or bridge; they need no file of their own. */
function portsOf(values: Assignments): string[] {
  return Object.entries(values).flatMap(([key, value]) =>
    /^(PHYSDEV|ETHERDEVICE|BONDING_SLAVE\w*|BRIDGE_PORTS)$/.test(key)
      ? value
          .split(/\s+/)
          .map(baseName)
          .filter((name) => name !== '')
      : [],
  );
}

export const ifcfg: NetworkBackend = {
  name: 'ifcfg',
  interfaces: (tree) =>
    configurationFiles(tree).flatMap((path) => {
      const values = assignments(tree.text(path)?.text ?? '');
      const fromName = path.slice(path.lastIndexOf('/ifcfg-') + 7);
      const ports = portsOf(values).filter(isPhysicalName);
      // Red Hat's aliases and VLANs on a card stand for that card.
      const device = baseName(values.DEVICE || (isName(path, fromName) ? fromName : ''));
      if (!isNic(values) || !isPhysicalName(device)) return ports.map((name) => ({ name, mac: null }));
      const mac = normaliseMac(values.HWADDR ?? MAC_IN_NAME.exec(fromName)?.[1]);
      return [{ name: device, mac }, ...ports.map((name) => ({ name, mac: null }))];
    }),
  expects: (tree) =>
    mergeExpectations(
      configurationFiles(tree).flatMap((path) => {
        const values = assignments(tree.text(path)?.text ?? '');
        if (!isAtBoot(values)) return [];
        const protocol = (values.BOOTPROTO ?? '').toLowerCase();
        const own = Object.entries(values).filter(([key]) => /^(IPADDR\d*|IPADDR_\w+|IPV6ADDR)$/.test(key));
        return [
          {
            // With DHCP, static addresses are left over and unused.
            addresses: protocol.startsWith('dhcp') ? [] : own.flatMap(([, value]) => addressesIn(value)),
            dhcp: protocol.startsWith('dhcp'),
          },
        ];
      }),
    ),
  unpin: (context) => ({
    operations: configurationFiles(context.tree).flatMap((path) =>
      rewriteFile(
        context.tree,
        path,
        {
          fixer: NETWORK_FIXER,
          reason: 'HWADDR names a card that the VM does not have: the interface would stay down',
        },
        (text) =>
          text
            .split('\n')
            .filter(
              (line) => !isForeignMac(normaliseMac(/^\s*HWADDR=["']?([^"'\s]+)/.exec(line)?.[1]), context),
            )
            .join('\n'),
      ),
    ),
    warnings: [],
  }),
  dhcp: (tree) =>
    configurationFiles(tree).flatMap((path) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, useDhcp),
    ),
};

const STATIC_KEY =
  /^\s*(IPADDR\d*|NETMASK\d*|PREFIX(LEN)?\d*|GATEWAY\d*|BROADCAST|NETWORK|DNS\d+|REMOTE_IPADDR)=/;

function useDhcp(text: string): string {
  const values = assignments(text);
  if (!isNic(values) || values.MASTER !== undefined || values.BRIDGE !== undefined) return text;
  const lines = text.split('\n').filter((line) => !STATIC_KEY.test(line));
  const isSet = lines.some((line) => /^\s*BOOTPROTO=/.test(line));
  const changed = lines.map((line) => line.replace(/^(\s*BOOTPROTO=).*$/, '$1dhcp'));
  return (isSet ? changed : ['BOOTPROTO=dhcp', ...changed]).join('\n');
}

import type { GuestTree } from '../../guest/tree.js';
import type { Operation } from '../../operations/registry.js';
import type { Run } from '../../operations/run.js';
import { mapLines } from '../../text/lines.js';
import { type Cause, filesIn, putFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import {
  commentDisplayDrivers,
  commentLines,
  commentModules,
  commentMounts,
  maskUnits,
  removeStartLinks,
} from './residue.js';

const NAME = 'vmware';
const because = (reason: string): Cause => ({ fixer: NAME, reason });

export const vmware: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'VMware’s residue: units of VMware Tools (a fixed list of names) are masked (with fix.vmware_tools = "remove" the packages are removed by the guest’s package manager, with "keep" they stay), shared folders in fstab, modules to load at boot, cron jobs, X11’s driver and package repositories of VMware are commented out or disabled. Files that belong to packages stay.',
  plan(guest) {
    const { tree, options } = guest;
    if (options.vmware_tools === 'keep') return { operations: [], warnings: [] };
    const tools = options.vmware_tools === 'remove' ? removeTools(guest) : disableTools(guest);
    const operations = [
      ...tools,
      ...commentMounts(
        tree,
        /^(fuse\.)?vmhgfs(-fuse)?$/,
        because('VMware’s shared folders do not exist on KVM; the boot would wait for them'),
      ),
      // Drivers that the guest still needs on the old hypervisor are loaded when their hardware is present.
      ...commentModules(tree, MODULES, because('these modules cannot be loaded without VMware')),
      ...cronJobs(tree),
      ...commentDisplayDrivers(
        tree,
        /vmware|vmmouse/,
        because('X finds the driver by itself; VMware’s has no hardware on KVM'),
      ),
      ...repositories(tree),
    ];
    return { operations, warnings: [] };
  },
};

/**
 * Modules of VMware Tools, listed by name: `vmware-exporter.service` is a customer's,
 * `vmware-usbarbitrator.service` is Workstation's, and `vmw_vsock_virtio_transport` is KVM's own driver.
 */
const MODULES = new RegExp(
  `^\\s*(${[
    ...['vmw_balloon', 'vmware_balloon', 'vmw_pvscsi', 'vmw_vmci', 'vmw_vsock_vmci_transport', 'vmwgfx'],
    // Modules from the tarball.
    ...['vmhgfs', 'vmxnet3?', 'vmblock', 'vmmemctl', 'vmci', 'vsock', 'vmsync', 'pvscsi'],
  ].join('|')})(?![\\w-])`,
);
/**
 * Units of open-vm-tools in Debian, Red Hat, SUSE, Arch and Photon; of the tarball; and of VMware's own
 * packages (OSPs) with their Common Agent Framework.
 */
const UNITS = [
  ...['open-vm-tools.service', 'vmtoolsd.service', 'vgauth.service', 'vgauthd.service'],
  ...['run-vmblock\\x2dfuse.mount', 'vmblock-fuse.service', 'vmware-vmblock-fuse.service'],
  ...['vmware-tools.service', 'vmware-tools-thinprint.service', 'vmware-tools-services.service'],
  ...['vmware-caf-communication-service.service', 'vmware-caf-management-agent-service.service'],
];
/** Scripts of System V, OpenRC and upstart. */
const SCRIPTS = [
  ...['open-vm-tools', 'vmtoolsd', 'vmware-tools', 'vmware-tools-thinprint', 'vmware-tools-services'],
  ...['vmware-tools-vgauth', 'vmware-caf-communication-service', 'vmware-caf-management-agent-service'],
];
const PROGRAMS = [
  ...['vmtoolsd', 'vmware-toolbox-cmd', 'vmware-rpctool', 'vmware-checkvm', 'vmware-guestd', 'vmware-user'],
  ...['vmware-xferlogs', 'vmware-namespace-cmd', 'vmware-hgfsclient', 'vmware-tools-upgrader'],
  ...['vmware-config-tools.pl', 'vmware-uninstall-tools.pl', ...SCRIPTS],
];

const isOneOf = (names: readonly string[]) =>
  new RegExp(`^(${names.map((name) => name.replace(/[.\\]/g, '\\$&')).join('|')})$`);
const UNIT = isOneOf(UNITS);
const SCRIPT = isOneOf(SCRIPTS);

function disableTools({ tree, identity }: Guest): Operation[] {
  const silent = because('VMware Tools have nothing to talk to on KVM');
  if (identity.init_system === 'systemd') return maskUnits(tree, { unit: UNIT, script: SCRIPT }, silent);
  return [
    ...removeStartLinks(tree, SCRIPT, because('VMware Tools must not start on KVM')),
    ...upstartJobs(tree),
  ];
}

function upstartJobs(tree: GuestTree): Operation[] {
  return filesIn(tree, '/etc/init', isOneOf(SCRIPTS.map((name) => `${name}.conf`))).flatMap((path) =>
    putFile(
      tree,
      path.replace(/\.conf$/, '.override'),
      because('VMware Tools must not start on KVM'),
      'manual\n',
    ),
  );
}

function removeTools({ tree, identity }: Guest): Operation[] {
  const run = (command: string[]): Run => {
    return { op: 'run', ...because('fix.vmware_tools = "remove"'), command };
  };
  if (identity.vmware_tools === 'tarball') return [run(['vmware-uninstall-tools.pl'])];
  if (identity.vmware_tools === 'none') return [];
  const installed = debianPackages(tree).filter((name) => name.startsWith('open-vm-tools'));
  if (installed.length > 0) return [run(['dpkg', '--purge', ...installed])];
  if (identity.package_manager === 'apk') return [run(['apk', 'del', '--no-network', 'open-vm-tools'])];
  if (identity.package_manager === 'pacman') return [run(['pacman', '-R', '--noconfirm', 'open-vm-tools'])];
  return [run(['rpm', '-e', '--nodeps', 'open-vm-tools'])];
}

/** Returns the names of the installed packages in dpkg's status file. */
function debianPackages(tree: GuestTree): string[] {
  const text = tree.text('/var/lib/dpkg/status')?.text ?? '';
  return text
    .split('\n\n')
    .filter((stanza) => /^Status: .* installed$/m.test(stanza))
    .flatMap((stanza) => /^Package: (\S+)$/m.exec(stanza)?.[1] ?? [])
    .sort();
}

function cronJobs(tree: GuestTree): Operation[] {
  const files = ['/etc/crontab', ...filesIn(tree, '/etc/cron.d', /^[\w-]+$/)];
  const programs = PROGRAMS.map((name) => name.replaceAll('.', '\\.')).join('|');
  const line = new RegExp(`^\\s*[^#\\s].*[\\s/](${programs})(?![\\w.-])`);
  return files.flatMap((path) => commentLines(tree, path, line, because('a job of VMware Tools')));
}

function repositories(tree: GuestTree): Operation[] {
  const reason = 'VMware’s repository of guest tools is of no use on KVM';
  const yum = ['/etc/yum.repos.d', '/etc/zypp/repos.d'].flatMap((directory) =>
    filesIn(tree, directory, /\.repo$/),
  );
  const apt = ['/etc/apt/sources.list', ...filesIn(tree, '/etc/apt/sources.list.d', /\.list$/)];
  return [
    ...yum.flatMap((path) => rewriteFile(tree, path, because(reason), disableYumSections)),
    ...apt.flatMap((path) =>
      rewriteFile(tree, path, because(reason), (text) =>
        mapLines(text, (line) =>
          /^\s*deb\b.*packages\.vmware\.com\/(tools|packages)/.test(line) ? `#${line}` : line,
        ),
      ),
    ),
  ];
}

/** Sets `enabled=0` in the sections of VMware's tools only: Photon's own packages come from the same host. */
function disableYumSections(text: string): string {
  return text
    .split(/(?=^\[)/m)
    .map((section) => {
      if (!/^(baseurl|mirrorlist)\s*=\s*\S*:\/\/packages\.vmware\.com\/(tools|packages)/m.test(section))
        return section;
      if (/^enabled\s*=/m.test(section)) return section.replace(/^(enabled\s*=\s*)1/m, '$10');
      return section.replace(/^(\[[^\]]*\].*\n)/, '$1enabled=0\n');
    })
    .join('');
}

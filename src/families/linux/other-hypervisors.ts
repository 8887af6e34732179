import type { Operation } from '../../operations/registry.js';
import type { Fixer, Guest } from '../base/fixer.js';
import {
  commentDisplayDrivers,
  commentLines,
  commentModules,
  commentMounts,
  maskUnits,
  removeStartLinks,
} from './residue.js';

const NAME = 'other-hypervisors';

/** What the guest tools of one hypervisor are named in a guest. */
interface Tools {
  hypervisor: string;
  unit: RegExp;
  script: RegExp;
  /** Lines of module files: their modules refuse to load elsewhere, so systemd-modules-load would fail. */
  modules: RegExp;
}

const TOOLS: readonly Tools[] = [
  {
    hypervisor: 'VirtualBox',
    unit: /^(vboxadd(-service)?|vboxservice|vboxdrmclient|virtualbox-guest-utils)\.service$/,
    script: /^(vboxadd(-service|-x11)?|virtualbox-guest-utils)$/,
    modules: /^\s*vbox(guest|sf|video)\b/,
  },
  {
    hypervisor: 'Hyper-V',
    unit: /^(hv-?(kvp|vss|fcopy)[-_]?daemon|hyperv(kvp|vss|fcopy)d|hv_(kvp|vss|fcopy)_daemon|walinuxagent|waagent)\.service$/,
    script: /^(hv_(kvp|vss|fcopy)_daemon|hyperv(kvp|vss|fcopy)d|walinuxagent|waagent)$/,
    modules: /^\s*(hv_\w+|hyperv_\w+|hid[-_]hyperv)\b/,
  },
  {
    hypervisor: 'Xen',
    unit: /^(xe-(linux-distribution|daemon)|xe-guest-utilities|xenstore-guest)\.service$/,
    script: /^(xe-linux-distribution|xe-daemon|xe-guest-utilities)$/,
    modules: /^\s*xen[-_]\w+/,
  },
];

export const otherHypervisors: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'Residue of VirtualBox, Hyper-V, Azure and Xen: units of their guest tools are masked (start links of System V scripts removed), their modules, shared folders and X11 drivers are commented out, as is a login on Xen’s console hvc0 in /etc/inittab. Files that belong to packages stay.',
  plan({ tree, identity }) {
    const operations = TOOLS.flatMap((tools) => disable({ tree, identity }, tools));
    return {
      operations: [...operations, ...sharedFolders(tree), ...display(tree), ...console(tree)],
      warnings: [],
    };
  },
};

function disable({ tree, identity }: Pick<Guest, 'tree' | 'identity'>, tools: Tools): Operation[] {
  const { hypervisor, script, modules } = tools;
  const cause = { fixer: NAME, reason: `${hypervisor}’s guest tools have nothing to talk to on KVM` };
  const services =
    identity.init_system === 'systemd'
      ? maskUnits(tree, tools, cause)
      : removeStartLinks(tree, script, cause);
  const reason = `these modules cannot be loaded without ${hypervisor}`;
  return [...services, ...commentModules(tree, modules, { fixer: NAME, reason })];
}

function sharedFolders(tree: Guest['tree']): Operation[] {
  const reason = 'VirtualBox’s shared folders do not exist on KVM; the boot would wait for them';
  return commentMounts(tree, /^vboxsf$/, { fixer: NAME, reason });
}

function display(tree: Guest['tree']): Operation[] {
  const reason = 'X finds the driver by itself; this one has no hardware on KVM';
  return commentDisplayDrivers(tree, /vboxvideo|vboxmouse/, { fixer: NAME, reason });
}

/**
 * Comments out the login on Xen's console: without the device, init would restart it again and again. systemd
 * starts a login only on a console that exists.
 */
function console(tree: Guest['tree']): Operation[] {
  const reason = 'Xen’s console hvc0 does not exist on KVM';
  return commentLines(tree, '/etc/inittab', /^[^#\s].*\bhvc0\b/, { fixer: NAME, reason });
}

import { hasProgram } from '../../guest/programs.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Kernel } from '../../model/identity.js';
import type { Operation } from '../../operations/registry.js';
import { mapLines } from '../../text/lines.js';
import { putFile, rewriteFile } from '../base/edit.js';

export interface RebuildRequest {
  /** Guest path of the initramfs. */
  image: string;
  kernel: Kernel;
  modules: readonly string[];
}

/**
 * A program of the guest that builds an initramfs, and the configuration that tells it which drivers to
 * include.
 */
interface InitramfsTool {
  program: string;
  rebuild(request: RebuildRequest): string[];
  /**
   * Returns the operations after which every later initramfs includes `drivers`; none if it is configured
   * like that already.
   */
  keep(tree: GuestTree, drivers: readonly string[]): Operation[];
}

const cause = { fixer: 'initramfs', reason: 'the next kernel update must keep the drivers' };
const list = (names: readonly string[]) => names.join(' ');
const GENERATED = '# Written by hyper2kvm: the drivers of this VM’s disks and network card on KVM.\n';

/** In order of precedence if a guest has several: dracut's packages include a compatible mkinitrd. */
const TOOLS: readonly InitramfsTool[] = [
  {
    program: 'update-initramfs',
    rebuild: ({ kernel }) => ['update-initramfs', '-u', '-k', kernel.version],
    keep(tree, drivers) {
      const path = '/etc/initramfs-tools/modules';
      const text = tree.text(path)?.text ?? '';
      const listed = text.split('\n').map((line) => line.trim().split(/\s+/)[0]?.replaceAll('-', '_'));
      const missing = drivers.filter((name) => !listed.includes(name));
      if (missing.length === 0) return [];
      const gap = text === '' || text.endsWith('\n') ? '' : '\n';
      return putFile(tree, path, cause, `${text}${gap}${missing.join('\n')}\n`);
    },
  },
  {
    program: 'dracut',
    rebuild: ({ image, kernel, modules }) => [
      'dracut',
      '--force',
      '--add-drivers',
      list(modules),
      image,
      kernel.version,
    ],
    keep(tree, drivers) {
      const line = `add_drivers+=" ${list(drivers)} "\n`;
      // dracut before 008 has no drop-in directory.
      if (tree.isDirectory('/etc/dracut.conf.d') || !tree.exists('/etc/dracut.conf'))
        return putFile(tree, '/etc/dracut.conf.d/50-hyper2kvm.conf', cause, `${GENERATED}${line}`);
      return rewriteFile(tree, '/etc/dracut.conf', cause, (text) =>
        text.includes(line) ? text : `${text}${line}`,
      );
    },
  },
  {
    program: 'mkinitcpio',
    rebuild: ({ image, kernel }) => ['mkinitcpio', '-k', kernel.version, '-g', image],
    keep(tree, drivers) {
      if (tree.isDirectory('/etc/mkinitcpio.conf.d')) {
        const content = `${GENERATED}MODULES+=(${list(drivers)})\n`;
        return putFile(tree, '/etc/mkinitcpio.conf.d/50-hyper2kvm.conf', cause, content);
      }
      return rewriteFile(tree, '/etc/mkinitcpio.conf', cause, (text) =>
        text.replace(/^(MODULES=)(["(])([^")]*)([")])/m, (_, key, open, names, close) => {
          return `${key}${open}${withNames(names, drivers)}${close}`;
        }),
      );
    },
  },
  {
    program: 'mkinitfs',
    rebuild: ({ image, kernel }) => ['mkinitfs', '-o', image, kernel.version],
    keep: (tree) =>
      rewriteFile(tree, '/etc/mkinitfs/mkinitfs.conf', cause, (text) =>
        text.replace(/^(features=")([^"]*)(")/m, (_, open, names, close) => {
          return `${open}${withNames(names, ['virtio'])}${close}`;
        }),
      ),
  },
  {
    program: 'booster',
    rebuild: ({ image, kernel }) => [
      'booster',
      'build',
      '--force',
      '--kernel-version',
      kernel.version,
      image,
    ],
    keep(tree, drivers) {
      const path = '/etc/booster.yaml';
      const text = tree.text(path)?.text ?? '';
      const listed = /^modules:(.*)$/m.exec(text);
      if (listed === null) {
        const gap = text === '' || text.endsWith('\n') ? '' : '\n';
        return putFile(tree, path, cause, `${text}${gap}modules: ${drivers.join(',')}\n`);
      }
      const [, comment = ''] = /(?<=\s)(#.*)$/.exec(listed[1] ?? '') ?? [];
      const names = (listed[1] ?? '')
        .slice(0, comment === '' ? undefined : -comment.length)
        .split(/[\s,"']+/)
        .filter((name) => name !== '' && !drivers.includes(name.replace(/^-/, '')));
      const all = [...names, ...drivers];
      return rewriteFile(tree, path, cause, (before) =>
        before.replace(listed[0], () => `modules: ${all.join(',')} ${comment}`.trimEnd()),
      );
    },
  },
  {
    program: 'mkinitrd',
    // The mkinitrd of SUSE and that of Red Hat share nothing but the name.
    rebuild: ({ image, kernel, modules }) => [
      'mkinitrd',
      '-f',
      ...modules.map((name) => `--with=${name}`),
      image,
      kernel.version,
    ],
    keep: keepInModprobeConf,
  },
];

const SUSE_KERNEL = '/etc/sysconfig/kernel';

const SUSE_MKINITRD: InitramfsTool = {
  program: 'mkinitrd',
  rebuild: ({ image, kernel, modules }) => ['mkinitrd', '-k', kernel.image, '-i', image, '-m', list(modules)],
  keep: (tree, drivers) =>
    rewriteFile(tree, SUSE_KERNEL, cause, (text) =>
      mapLines(text, (line) =>
        line.replace(/^(INITRD_MODULES=")([^"]*)(")/, (_, open, names, close) => {
          return `${open}${withNames(names, drivers)}${close}`;
        }),
      ),
    ),
};

function withNames(text: string, names: readonly string[]): string {
  const listed = text.split(/\s+/).filter((name) => name !== '');
  return [...listed, ...names.filter((name) => !listed.includes(name))].join(' ');
}

/** RHEL 5: mkinitrd includes the drivers that modprobe.conf names as disk or network adapters. */
function keepInModprobeConf(tree: GuestTree, drivers: readonly string[]): Operation[] {
  return rewriteFile(tree, '/etc/modprobe.conf', cause, (text) => {
    const missing = drivers.filter((name) => !new RegExp(`^alias\\s+\\S+\\s+${name}\\s*$`, 'm').test(text));
    const taken = [...text.matchAll(/^alias\s+scsi_hostadapter(\d*)\s/gm)].map(([, number]) =>
      Number(number || 0),
    );
    const first = Math.max(-1, ...taken) + 1;
    const lines = missing.map((name, index) => `alias scsi_hostadapter${first + index || ''} ${name}\n`);
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${lines.join('')}`;
  });
}

/** Returns the tools whose programs exist in the guest. */
function installedTools(tree: GuestTree): InitramfsTool[] {
  const has = ({ program }: InitramfsTool) => hasProgram(tree, program);
  const isSuse = /^INITRD_MODULES=/m.test(tree.text(SUSE_KERNEL)?.text ?? '');
  return TOOLS.map((tool) => (tool.program === 'mkinitrd' && isSuse ? SUSE_MKINITRD : tool)).filter(has);
}

/** True if the guest has a program that can build an initramfs. */
export const hasInitramfsTool = (tree: GuestTree): boolean => installedTools(tree).length > 0;

/** Returns the command that builds `image` again, or null if no known tool is installed. */
export function rebuildCommand(tree: GuestTree, request: RebuildRequest): string[] | null {
  return installedTools(tree)[0]?.rebuild(request) ?? null;
}

/** Configures the tool that builds the guest's initramfs files to include `drivers`. */
export function keepDrivers(tree: GuestTree, drivers: readonly string[]): Operation[] {
  return installedTools(tree)[0]?.keep(tree, drivers) ?? [];
}

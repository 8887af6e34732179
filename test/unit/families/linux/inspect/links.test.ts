import { describe, expect, it } from 'vitest';
import { SnapshotCollector } from '../../../../../src/access/snapshot-collector.js';
import type { Warnings } from '../../../../../src/access/tolerate.js';
import {
  followEarlyLinks,
  followLinks,
  realDirectory,
} from '../../../../../src/families/linux/inspect/links.js';
import { guestOfFiles } from '../../../access/memory-guest.js';
import { type Files, treeOf } from '../../guests.js';

/** A guest with `all`, of whose files the snapshot has those that `isCaptured`. */
async function guest(all: Files, isCaptured = (path: string) => /^\/(etc|boot)(\/|$)/.test(path)) {
  const { reader, calls } = await guestOfFiles(all);
  const collector = new SnapshotCollector(reader);
  for (const known of treeOf(all).entries()) if (isCaptured(known.path)) collector.add(known);
  return { reader, collector, calls };
}

async function followed(all: Files) {
  const warnings: Warnings = [];
  const { reader, collector, calls } = await guest(all);
  await followLinks(reader, collector, warnings);
  return { tree: collector.tree(), warnings, calls };
}

describe('links out of what was captured', () => {
  it('are followed inside the guest, through links to directories and other links', async () => {
    const { reader, collector } = await guest({
      '/etc/fstab': '-> /srv/config/fstab',
      '/srv': '-> data/./srv',
      '/data/srv/config/fstab': '-> ../../../../../../data/real',
      '/data/real': 'UUID=x / ext4 defaults 0 1\n',
    });
    await followEarlyLinks(reader, collector);
    const tree = collector.tree();
    expect(tree.resolve('/etc/fstab')).toBe('/data/real');
    expect(tree.text('/etc/fstab')?.text).toContain('UUID=x');
  });

  it('bring a directory’s files, a file of /boot and nothing that is in the snapshot', async () => {
    const { tree, warnings } = await followed({
      '/etc/netplan': '-> /srv/netplan',
      '/srv/netplan/01.yaml': 'network: {}\n',
      '/boot/grub/grub.cfg': '-> /srv/grub.cfg',
      '/srv/grub.cfg': 'linux /vmlinuz root=/dev/sda1\n',
    });
    expect(tree.text('/etc/netplan/01.yaml')?.text).toBe('network: {}\n');
    expect(tree.text('/boot/grub/grub.cfg')?.text).toContain('root=/dev/sda1');
    expect(warnings).toEqual([]);
    const usual = await followed({
      '/etc/os-release': '-> ../usr/lib/os-release',
      '/etc/mtab': '-> /proc/mounts',
      '/etc/systemd/network/99-default.link': '-> /dev/null',
      '/etc/modules-load.d/modules.conf': '-> ../modules',
      '/etc/modules': 'loop\n',
      '/boot/vmlinuz': '-> vmlinuz-6.1',
      '/boot/vmlinuz-6.1': null,
    });
    expect([usual.calls, usual.warnings]).toEqual([[], []]);
  });

  it('are warned of where they lead nowhere, in a circle, or to what is too large', async () => {
    const { warnings } = await followed({
      '/etc/fstab': '-> /data/fstab',
      '/etc/crypttab': '-> /srv/a',
      '/srv/a': '-> b',
      '/srv/b': '-> a',
      '/etc/default/grub': '-> /srv/large',
      '/srv/large': 'x'.repeat(1024 * 1024 + 1),
      '/etc/unknown': '-> /nowhere',
      '/boot/vmlinuz.old': '-> vmlinuz-5',
    });
    expect(warnings.map(({ code, message }) => `${code} ${message.split(' ')[0]}`)).toEqual([
      'inspect.unread /etc/crypttab',
      'inspect.unread /etc/default/grub',
      'inspect.unread /etc/fstab',
    ]);
  });

  it('end: a guest cannot ask for more than some hundred calls', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 5_000 }, (_, index) => [`/etc/netplan/${index}.yaml`, `-> /srv/${index}`]),
    );
    expect((await followed(many)).calls.length).toBeLessThan(500);
  });

  it('of /boot itself lead to the directory that is captured', async () => {
    const { reader, collector } = await guest(
      { '/boot': '-> /data/boot', '/data/boot/vmlinuz': null },
      (path) => /^\/[^/]*$/.test(path),
    );
    expect(await realDirectory(reader, collector, '/boot')).toBe('/data/boot');
    expect(await realDirectory(reader, collector, '/etc')).toBe('/etc');
  });
});

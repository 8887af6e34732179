import { filesIn, mapLines, removeFile, rewriteFile } from '../edit.js';
import type { Fixer } from '../fixer.js';
import type { Warning } from '../operation.js';

const LVM = 'lvm';

export const lvm: Fixer = {
  name: LVM,
  description:
    'LVM’s record of the old hypervisor’s devices (/etc/lvm/devices/system.devices, /etc/lvm/cache/.cache) is removed: LVM then finds its volumes by their own labels. A filter in lvm.conf that lets only old names through gets virtio’s too, with a warning.',
  plan({ tree }) {
    const stale = ['/etc/lvm/devices/system.devices', '/etc/lvm/cache/.cache', '/etc/lvm/.cache'];
    const reason = 'it lists devices of the old hypervisor; LVM would not look at the new ones';
    const warnings: Warning[] = [];
    const filters = rewriteFile(
      tree,
      '/etc/lvm/lvm.conf',
      { fixer: LVM, reason: 'the filter lets only device names of the old hypervisor through' },
      (text) => mapLines(text, (line) => admitVirtio(line, warnings)),
    );
    const removals = stale.flatMap((path) => removeFile(tree, path, { fixer: LVM, reason }));
    return { operations: [...removals, ...filters], warnings };
  },
};

/** `filter = [ "a|/dev/sd.*|", "r|.*|" ]`: accepts by name and rejects the rest, so virtio's names would be rejected. */
const FILTER = /^(\s*(?:global_)?filter\s*=\s*\[?\s*)(["'].*)$/;
const VIRTIO_PATTERN = '"a|^/dev/vd|"';

function admitVirtio(line: string, warnings: Warning[]): string {
  const [, head = '', patterns = ''] = FILTER.exec(line) ?? [];
  const isRestrictive = /["']a.[^"']*(sd|hd|by-path|by-id)/.test(patterns) && /["']r[^"']/.test(patterns);
  if (!isRestrictive || /["']a.[^"']*\bvd/.test(patterns) || patterns.includes(VIRTIO_PATTERN)) return line;
  warnings.push({
    fixer: LVM,
    code: 'lvm.filter',
    message: `lvm.conf admits only devices of the old hypervisor (${line.trim()}): virtio disks were added, look whether that is what you want`,
  });
  return `${head}${VIRTIO_PATTERN}, ${patterns}`;
}

const MDADM = 'mdadm';

export const mdadm: Fixer = {
  name: MDADM,
  description:
    'Arrays of md find their members by UUID and are left alone; a DEVICE line in mdadm.conf that looks only at /dev/sd* is reported.',
  plan({ tree }) {
    const paths = ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'];
    const warnings = paths.flatMap((path) => {
      const line = tree.text(path)?.text.match(/^[ \t]*DEVICE[ \t]+.*$/im)?.[0] ?? '';
      if (!/\/dev\/[sh]d/.test(line) || /\/dev\/vd|partitions/.test(line)) return [];
      const message = `${path} looks for members only at ${line.trim()}: with virtio disks they are /dev/vd*`;
      return [{ fixer: MDADM, code: 'mdadm.device', message }];
    });
    return { operations: [], warnings };
  },
};

const BLKID = 'blkid-cache';

export const blkidCache: Fixer = {
  name: BLKID,
  description:
    'blkid’s cache of the old hypervisor’s devices (/etc/blkid/blkid.tab) is removed; it is made again by itself.',
  plan({ tree }) {
    const files = [...filesIn(tree, '/etc/blkid', /^blkid\.tab/), ...filesIn(tree, '/etc', /^blkid\.tab/)];
    const reason = 'it maps UUIDs to devices of the old hypervisor';
    return {
      operations: files.flatMap((path) => removeFile(tree, path, { fixer: BLKID, reason })),
      warnings: [],
    };
  },
};

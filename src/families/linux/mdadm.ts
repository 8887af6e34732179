import type { Fixer } from '../base/fixer.js';

const NAME = 'mdadm';

export const mdadm: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'md arrays find their members by UUID and are left alone; a DEVICE line in mdadm.conf that matches only /dev/sd* is reported.',
  plan({ tree }) {
    const paths = ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'];
    const warnings = paths.flatMap((path) => {
      const line = tree.text(path)?.text.match(/^[ \t]*DEVICE[ \t]+.*$/im)?.[0] ?? '';
      if (!/\/dev\/[sh]d/.test(line) || /\/dev\/vd|partitions/.test(line)) return [];
      const message = `${path} looks for members only at ${line.trim()}: with virtio disks they are /dev/vd*`;
      return [{ fixer: NAME, code: 'mdadm.device', message }];
    });
    return { operations: [], warnings };
  },
};

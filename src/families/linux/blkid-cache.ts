import { filesIn, removeFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';

const NAME = 'blkid-cache';

export const blkidCache: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'blkid’s cache of the old hypervisor’s devices (/etc/blkid/blkid.tab) is removed; blkid creates it again.',
  plan({ tree }) {
    const files = [...filesIn(tree, '/etc/blkid', /^blkid\.tab/), ...filesIn(tree, '/etc', /^blkid\.tab/)];
    const reason = 'it maps UUIDs to devices of the old hypervisor';
    return {
      operations: files.flatMap((path) => removeFile(tree, path, { fixer: NAME, reason })),
      warnings: [],
    };
  },
};

import { expect, it } from 'vitest';
import { architecture } from '../../../../src/stages/inspect/architecture.js';
import { treeOf } from '../../families/guests.js';
import { answeringSession } from './session.js';

it('is read from a program behind a link, of which the snapshot knows the name only', async () => {
  const elf = Buffer.alloc(20);
  elf.write('\x7fELF', 'latin1');
  elf.writeUInt16LE(183, 18);
  const { session } = answeringSession({
    is_file_opts: (path: string, options: { followsymlinks?: boolean }) =>
      path === '/bin/sh' && options.followsymlinks === true,
    pread: () => elf,
  });
  expect(await architecture(session, treeOf({ '/bin/sh': null }))).toBe('aarch64');
});

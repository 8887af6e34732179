import { expect, it } from 'vitest';
import { architecture } from '../../../../../src/families/linux/inspect/architecture.js';
import { guestOfFiles, type MemoryFiles } from '../../../access/memory-guest.js';

const elf = (machine: number) => {
  const head = Buffer.alloc(20);
  head.write('\x7fELF', 'latin1');
  head.writeUInt16LE(machine, 18);
  return head;
};
const of = async (files: MemoryFiles) => architecture((await guestOfFiles(files)).reader);

it('is what the shell is made for, also where that is a link to busybox', async () => {
  expect(await of({ '/bin/sh': elf(62) })).toBe('x86_64');
  expect(await of({ '/bin/sh': '-> /bin/busybox', '/bin/busybox': elf(183) })).toBe('aarch64');
  expect(await of({ '/bin': '-> usr/bin', '/usr/bin/sh': '-> dash', '/usr/bin/dash': elf(243) })).toBe(
    'riscv64',
  );
});

it('is asked of the next program where a link leads nowhere, in a circle or to no program', async () => {
  const files = { '/bin/sh': '-> sh', '/usr/bin/sh': '-> ../../../nowhere', '/bin/bash': '#!/bin/sh\n' };
  expect(await of({ ...files, '/sbin/init': '-> /usr/lib/init', '/usr/lib/init': elf(3) })).toBe('i386');
  await expect(of(files)).rejects.toMatchObject({ code: 'inspect.unknown-architecture' });
});

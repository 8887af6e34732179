import { expect, it } from 'vitest';
import { readKernels } from '../../../../src/stages/inspect/kernels.js';
import { treeOf } from '../../fixers/guests.js';
import { answeringSession } from './session.js';

const { signal } = new AbortController();

it('downloads no initramfs that is a device: /dev/zero has no size and no end', async () => {
  const tree = treeOf({
    '/lib/modules/6.1.0/modules.dep': '',
    '/boot/vmlinuz-6.1.0': null,
    '/boot/initrd.img-6.1.0': null,
  });
  const { session } = answeringSession({ statns: () => ({ mode: 0o020666, size: 0 }) });
  const { kernels } = await readKernels(session, tree, '/nonexistent', signal);
  expect(kernels.map(({ initramfs }) => initramfs?.unreadable)).toEqual(['not a regular file']);
});

it('takes no other kernel’s initramfs for a kernel without its own', async () => {
  const tree = treeOf({
    '/lib/modules/5.14.21-1-default/modules.dep': '',
    '/lib/modules/5.14.21-2-default/modules.dep': '',
    '/boot/vmlinuz-5.14.21-1-default': null,
    '/boot/vmlinuz-5.14.21-2-default': null,
    // SUSE's link to the newest one: the snapshot knows only its name.
    '/boot/initrd': null,
    '/boot/initrd-5.14.21-2-default': null,
  });
  const { session } = answeringSession({ statns: () => ({ mode: 0o100600, size: 2 ** 40 }) });
  const { kernels } = await readKernels(session, tree, '/nonexistent', signal);
  expect(kernels.map(({ version, initramfs }) => [version, initramfs?.path ?? null])).toEqual([
    ['5.14.21-1-default', null],
    ['5.14.21-2-default', '/boot/initrd-5.14.21-2-default'],
  ]);
});

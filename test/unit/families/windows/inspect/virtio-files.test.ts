import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { readWindowsSnapshot } from '../../../../../src/families/windows/inspect/snapshot.js';
import { dword, sz } from '../../../guest/registry/make-hive.js';
import { program } from '../drivers/virtio-win.js';
import { inspectWindows } from '../inspect-windows.js';
import { type WindowsRecipe, windowsDisks } from '../make-windows.js';

const WINDOWS: WindowsRecipe = {
  ...{ build: 19_045, product: 'Windows 10 Pro', edition: 'Professional', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios' },
};
const STORE = '/Windows/System32/DriverStore/FileRepository/viostor.inf_amd64_1/VIOSTOR.SYS';
const service = (image: string) => [dword('Start', 0), sz('ImagePath', image, 2)];
const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');

it('a guest without virtio’s drivers has none, and none of its files is read', async () => {
  const { identity, snapshot, calls } = await inspectWindows(windowsDisks(WINDOWS));
  expect(identity.virtio_drivers).toEqual([]);
  expect(snapshot.digests).toEqual({});
  expect(calls.filter((call) => /drivers\/|virtio/i.test(call))).toEqual([]);
});

it.each([
  [
    'in the driver store',
    '\\SystemRoot\\System32\\DriverStore\\FileRepository\\viostor.inf_amd64_1\\viostor.sys',
    STORE,
  ],
  [
    'by its drive',
    '\\??\\C:\\Windows\\system32\\drivers\\viostor.sys',
    '/Windows/System32/drivers/viostor.sys',
  ],
  ['without a path', '', '/Windows/System32/drivers/viostor.sys'],
])('a service names its driver %s', async (_, image, path) => {
  const recipe: WindowsRecipe = {
    ...WINDOWS,
    system: { '@\\Services\\VioStor': service(image) },
    files: { [path]: program('viostor', 'amd64') },
  };
  const { identity, snapshot } = await inspectWindows(windowsDisks(recipe));
  // The lab's programs have no version.
  expect(identity.virtio_drivers).toEqual([{ service: 'viostor', path, version: null }]);
  expect(snapshot.digests).toEqual({ [path]: sha256(program('viostor', 'amd64')) });
});

it('a service with a path that Windows would not find has no driver', async () => {
  const recipe: WindowsRecipe = {
    ...WINDOWS,
    system: { '@\\Services\\viostor': service('elsewhere.sys') },
    files: { '/Windows/System32/drivers/viostor.sys': program('viostor', 'amd64') },
  };
  const { identity } = await inspectWindows(windowsDisks(recipe));
  expect(identity.virtio_drivers).toEqual([]);
});

it('what an earlier conversion has copied is known by its content', async () => {
  const copied = '/Windows/Drivers/virtio/netkvm.sys';
  const recipe: WindowsRecipe = {
    ...WINDOWS,
    system: { '@\\Services\\netkvm': service('System32\\drivers\\gone.sys') },
    files: { [copied]: 'not even a program' },
  };
  const { identity, file } = await inspectWindows(windowsDisks(recipe));
  expect(identity.virtio_drivers).toEqual([]);
  const { tree } = await readWindowsSnapshot(file);
  expect(tree.get(copied)?.sha256).toBe(sha256('not even a program'));
});

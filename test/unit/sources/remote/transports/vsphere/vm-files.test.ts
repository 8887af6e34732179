import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../../../src/errors/error.js';
import type { RemoteFile } from '../../../../../../src/sources/remote/transports/base/transport.js';
import { datastorePathText } from '../../../../../../src/sources/remote/transports/vsphere/datastore-path.js';
import { factsOf } from '../../../../../../src/sources/remote/transports/vsphere/vm-facts.js';
import { vmFiles } from '../../../../../../src/sources/remote/transports/vsphere/vm-files.js';
import { vmContent } from './vm.js';

const descriptor = (...extents: string[]) =>
  `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="vmfs"\n${extents.join('\n')}\n`;

const STORE: Record<string, string> = {
  '[ds1] web01/web01.vmdk': descriptor('RW 4 VMFS "web01-flat.vmdk"'),
  '[ds1] web01/web01-flat.vmdk': 'x'.repeat(2048),
  '[ds1] web01/web01-000001.vmdk': descriptor('RW 4 SESPARSE "web01-000001-sesparse.vmdk"'),
  '[ds1] web01/web01-000001-sesparse.vmdk': 'one',
  '[ds1] web01/web01-000002.vmdk': descriptor('RW 4 SESPARSE "web01-000002-sesparse.vmdk"'),
  '[ds1] web01/web01-000002-sesparse.vmdk': 'two',
  '[ds2] web01/web01.vmdk': descriptor('RW 2 FLAT "s1.vmdk" 0', 'RW 2 FLAT "s1.vmdk" 2'),
  '[ds2] web01/s1.vmdk': 'y'.repeat(2048),
};

async function filesOf(store: Record<string, string>, content = vmContent()) {
  const opened: string[] = [];
  const signal = new AbortController().signal;
  const files = await vmFiles(
    factsOf(content),
    async (path): Promise<RemoteFile> => {
      const text = datastorePathText(path);
      opened.push(text);
      const bytes = store[text];
      if (bytes === undefined) throw new Hyper2kvmError('remote.not-found', text);
      return {
        name: path.file,
        size: bytes.length,
        validator: 'v1',
        hasRanges: true,
        data: null,
        origin: text,
        async *read() {
          yield Buffer.from(bytes);
        },
      };
    },
    signal,
  );
  return { files, opened };
}

async function textOf(file: RemoteFile): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.read(null, new AbortController().signal)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const one = (path: string) =>
  vmContent({
    'config.hardware': `<memoryMB>1</memoryMB><device xsi:type="VirtualDisk"><backing><fileName>${path}</fileName></backing></device>`,
  });

describe('vmFiles', () => {
  it('are the description, and of each disk the whole chain with its extents', async () => {
    const { files, opened } = await filesOf(STORE);
    expect(files.map(({ name }) => name)).toEqual([
      'web01.vmx',
      'disks-1/web01-000002.vmdk',
      'disks-1/web01-000002-sesparse.vmdk',
      'disks-1/web01-000001.vmdk',
      'disks-1/web01-000001-sesparse.vmdk',
      'disks-1/web01.vmdk',
      'disks-1/web01-flat.vmdk',
      'disks-2/web01.vmdk',
      'disks-2/s1.vmdk',
    ]);
    expect(opened.toSorted()).toEqual(Object.keys(STORE).toSorted());
    expect(await textOf(files[0]!)).toContain('scsi1:3.fileName = "disks-2/web01.vmdk"\n');
    expect(await textOf(files[1]!)).toBe(STORE['[ds1] web01/web01-000002.vmdk']);
  });

  it('keep their own names where no two are alike', async () => {
    const { files } = await filesOf(STORE, one('[ds1] web01/web01.vmdk'));
    expect(files.map(({ name }) => name)).toEqual(['web01.vmx', 'web01.vmdk', 'web01-flat.vmdk']);
  });

  it('have a directory for each folder where extents are alike, whatever their descriptors are called', async () => {
    const store = {
      '[ds1] a/web01.vmdk': descriptor('RW 4 VMFS "web01-flat.vmdk"'),
      '[ds1] a/web01-flat.vmdk': 'x'.repeat(2048),
      '[ds2] b/renamed.vmdk': descriptor('RW 4 VMFS "Web01-flat.vmdk"'),
      '[ds2] b/Web01-flat.vmdk': 'y'.repeat(2048),
    };
    const disk = (path: string, unit: number) =>
      `<device xsi:type="VirtualDisk"><backing><fileName>${path}</fileName></backing><unitNumber>${unit}</unitNumber></device>`;
    const hardware = `<memoryMB>1</memoryMB>${disk('[ds1] a/web01.vmdk', 0)}${disk('[ds2] b/renamed.vmdk', 1)}`;
    const { files } = await filesOf(store, vmContent({ 'config.hardware': hardware }));
    expect(files.map(({ name }) => name)).toEqual([
      'web01.vmx',
      'disks-1/web01.vmdk',
      'disks-1/web01-flat.vmdk',
      'disks-2/renamed.vmdk',
      'disks-2/Web01-flat.vmdk',
    ]);
    expect(await textOf(files[4]!)).toBe('y'.repeat(2048));
    expect(await textOf(files[0]!)).toContain('scsi0:1.fileName = "disks-2/renamed.vmdk"\n');
  });

  it('do not take the place of the description', async () => {
    const { files } = await filesOf({ '[ds1] a/web01.vmx': 'KDMV' }, one('[ds1] a/web01.vmx'));
    expect(files.map(({ name }) => name)).toEqual(['web01.vmx', 'disks-1/web01.vmx']);
  });

  it('are all of another state after a change of the configuration, the description too', async () => {
    const at = (changeVersion: string) =>
      filesOf(STORE, vmContent({ 'config.changeVersion': changeVersion })).then(({ files }) => files[0]!);
    const [before, after] = [await at('1'), await at('2')];
    expect(await textOf(after)).toBe(await textOf(before));
    expect(after.validator).not.toBe(before.validator);
  });

  it('have other validators when a description or a descriptor is another one', async () => {
    const validators = async (store: Record<string, string>, name: string) => {
      const content = one('[ds1] web01/web01.vmdk');
      const changed = {
        ...content,
        properties: new Map([...content.properties, ['name', vmContent({ name }).properties.get('name')!]]),
      };
      return (await filesOf(store, changed)).files.map(({ validator }) => validator);
    };
    const before = await validators(STORE, 'a');
    const renamed = await validators(STORE, 'b');
    expect(renamed.map((validator, index) => validator === before[index])).toEqual([false, true, true]);
    const rewritten = { ...STORE, '[ds1] web01/web01.vmdk': `${STORE['[ds1] web01/web01.vmdk']}#\n` };
    const after = await validators(rewritten, 'a');
    expect(after.map((validator, index) => validator === before[index])).toEqual([true, false, true]);
  });

  it.each([
    ['lies elsewhere', 'RW 4 VMFS "../../secret/other-flat.vmdk"', 'remote.not-found'],
    ['is a protocol', 'RW 4 VMFS "https://10.0.0.1/x"', 'fetch.refused-reference'],
    ['is missing', 'RW 4 VMFS "gone-flat.vmdk"', 'remote.not-found'],
    ['is shorter than promised', 'RW 5 VMFS "web01-flat.vmdk"', 'remote.truncated'],
    ['has too long a name', `RW 4 VMFS "${'x'.repeat(250)}"`, 'remote.unsupported-disk'],
    ['is a raw device', 'RW 4 VMFSRDM "web01-rdm.vmdk"', 'fetch.unsupported'],
    ['makes no sense', 'RW x VMFS', 'fetch.corrupt'],
  ])('refuse an extent that %s', async (_what, line, code) => {
    const store = { ...STORE, '[ds1] web01/web01.vmdk': descriptor(line) };
    const files = filesOf(store, one('[ds1] web01/web01.vmdk'));
    await expect(files).rejects.toMatchObject({ code });
  });

  it('are never looked for outside of the folder of their descriptor', async () => {
    const store = {
      ...STORE,
      '[ds1] web01/web01.vmdk': descriptor('RW 4 VMFS "../../secret/web01-flat.vmdk"'),
    };
    const { opened } = await filesOf(store, one('[ds1] web01/web01.vmdk'));
    expect(opened).toEqual(['[ds1] web01/web01.vmdk', '[ds1] web01/web01-flat.vmdk']);
  });

  it('are left to the rules of local drops where they have no text descriptor', async () => {
    const store = {
      '[ds1] a/sparse.vmdk': `KDMV${'x'.repeat(2 * 1024 * 1024)}`,
      '[ds1] a/small.vmdk': 'KDMV',
    };
    for (const path of Object.keys(store)) {
      const { files, opened } = await filesOf(store, one(path));
      expect(files).toHaveLength(2);
      expect(opened).toEqual([path]);
    }
  });
});

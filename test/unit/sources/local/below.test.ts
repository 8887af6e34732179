import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { namedDrop } from '../../../../src/spool/named-drop.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { realImages } from '../../disk/images.js';
import { ovfText } from '../../disk/ovf-text.js';

type Files = Record<string, Buffer | string>;

async function write(directory: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
}

/** The layers' names of a file that was named on a command line. */
async function openNamed(files: Files, name: string): Promise<string[]> {
  const job = await makeJob();
  await write(job.source, files);
  const { entries } = await namedDrop(job.source, name);
  const source = await localSource.open(
    { drop: { directory: job.source, entries } },
    makeContext(job, entries),
  );
  return source.disks.flatMap(({ chain }) => chain.layers.map((layer) => layer.name));
}

describe('a named description whose disks are in a folder below it', () => {
  test.each<[string, string]>([
    ['web01.ovf', ovfText(['disks/d.vmdk'])],
    ['web01.vmx', 'scsi0:0.fileName = "disks/d.vmdk"\n'],
    ['web01.vmx', 'scsi0:0.fileName = "/vmfs/volumes/ds1/web01/d.vmdk"\n'],
    ['web01.vmx', 'scsi0:0.fileName = "d.vmdk"\n'],
  ])('%s: %s', async (name, text) => {
    const { stream } = await realImages({ stream: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'] });
    const files = { [name]: text, 'disks/d.vmdk': stream!, 'other/e.vmdk': stream! };
    expect(await openNamed(files, name)).toEqual(['disks/d.vmdk']);
  });

  test('two folders have it: neither is taken', async () => {
    const { stream } = await realImages({ stream: ['-O', 'vmdk'] });
    const files = { 'web01.vmx': 'scsi0:0.fileName = "d.vmdk"\n', 'a/d.vmdk': stream!, 'b/d.vmdk': stream! };
    await expect(openNamed(files, 'web01.vmx')).rejects.toMatchObject({ code: 'fetch.missing-disk' });
  });
});

/** An OVF as oVirt 4.2 and later put it into an OVA. */
function ovirt(disks: { id: string; format: string; uri: string }[]): string {
  const files = disks.map(
    ({ id }) => `<File ovf:href="${id}" ovf:id="${id}" ovf:size="1" ovf:disk_storage_type="IMAGE"/>`,
  );
  const section = disks.map(
    ({ id, format, uri }) =>
      `<Disk ovf:diskId="disk-${id}" ovf:size="1" ovf:capacity="3145728" ovf:fileRef="${id}" ovf:format="${uri}" ${format} ovf:boot="true"/>`,
  );
  const items = disks.map(
    ({ id }, index) =>
      `<Item><rasd:InstanceId>${10 + index}</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>disk-${id}/${id}</rasd:HostResource></Item>`,
  );
  return `<?xml version='1.0' encoding='UTF-8'?><ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="r" xmlns:xsi="x" ovf:version="4.4.0.0"><References>${files.join('')}</References><NetworkSection/><Section xsi:type="ovf:DiskSection_Type">${section.join('')}</Section><Content ovf:id="out" xsi:type="ovf:VirtualSystem_Type"><Name>web01</Name><Section xsi:type="ovf:VirtualHardwareSection_Type">${items.join('')}</Section></Content></ovf:Envelope>`;
}

describe('oVirt’s OVA, whose disks have no ending', () => {
  const id = 'b5b4c1f0-0000-4000-8000-000000000001';
  const QCOW = 'http://www.gnome.org/~markmc/qcow-image-format.html';
  const RAW = 'http://www.vmware.com/specifications/vmdk.html#sparse';
  test.each([
    ['qcow2', 'ovf:volume-format="COW"', QCOW],
    ['raw', 'ovf:volume-format="RAW"', RAW],
    ['qcow2', '', QCOW],
  ])('%s by %s', async (form, format, uri) => {
    const images = await realImages({ qcow2: ['-O', 'qcow2'] });
    const job = await makeJob();
    await write(job.work, { 'vm.ovf': ovirt([{ id, format, uri }]), [id]: images[form]! });
    execFileSync('tar', ['-cf', join(job.source, 'web01.ova'), 'vm.ovf', id], { cwd: job.work });
    const entries = ['web01.ova'];
    const source = await localSource.open(
      { drop: { directory: job.source, entries } },
      makeContext(job, entries),
    );
    expect(source.disks.map(({ chain }) => chain.layers)).toMatchObject([
      [
        {
          name: `web01.ova/${id}`,
          format: form,
          bytes: { place: 'drop', region: { offset: expect.any(Number) } },
        },
      ],
    ]);
  });
});

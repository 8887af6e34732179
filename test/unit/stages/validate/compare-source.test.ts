import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compareContent, type DataInput } from '../../../../src/stages/validate/compare-source.js';
import {
  MIB,
  makeContext,
  makeJob,
  makeRaw,
  qemuImg,
  writeImage,
} from '../../../integration/flatten-images.js';

/** A flat disk and the result of its conversion, as the stages before leave them. */
async function converted() {
  const { work, source } = await makeJob();
  const raw = join(source, 'disk.raw');
  await makeRaw(raw, 4 * MIB);
  for (const name of ['flat-disk0.qcow2', 'vm-disk0.qcow2'])
    await qemuImg(['convert', '-f', 'raw', '-O', 'qcow2', raw, join(work, name)]);
  const disk = { index: 0, virtual_size: 4 * MIB, allocated: MIB };
  const input: DataInput = {
    flatten: {
      disks: [
        {
          ...disk,
          image: 'flat-disk0.qcow2',
          format: 'qcow2',
          used_bytes: MIB,
          controller: null,
          sector_size: 512,
        },
      ],
    },
    inspect: null,
    plan: null,
    fix: null,
    convert: { disks: [{ ...disk, file: 'vm-disk0.qcow2', format: 'qcow2', sha256: '' }] },
  };
  return {
    context: makeContext({ work, source }, ['disk.raw']),
    input,
    result: join(work, 'vm-disk0.qcow2'),
  };
}

test('a data disk with the content of its source is identical', async () => {
  const { context, input } = await converted();
  expect(await compareContent(context, input)).toMatchObject({
    verdict: 'identical',
    disks: [{ index: 0, virtual_size: 4 * MIB }],
  });
});

test('one that differs in its last sector is refused', async () => {
  const { context, input, result } = await converted();
  await writeImage(result, 'qcow2', [{ offset: 4 * MIB - 512, length: 512, pattern: 1 }]);
  await expect(compareContent(context, input)).rejects.toMatchObject({ code: 'validate.content-differs' });
});

test('one of another size, or of no source at all, is refused', async () => {
  const { context, input } = await converted();
  const [disk] = input.flatten.disks;
  for (const disks of [[{ ...disk!, virtual_size: 8 * MIB }], []])
    await expect(compareContent(context, { ...input, flatten: { disks } })).rejects.toMatchObject({
      code: 'validate.content-differs',
    });
});

import { describe, expect, test } from 'vitest';
import { layOut, partitionAt, sfdiskScript, uuidFrom } from '../../lab/layout.ts';
import { RECIPES } from '../../lab/recipes.ts';

const MIB = 1024 * 1024;

describe('layOut', () => {
  test('places partitions one behind the other from 1 MiB, with room for a backup GPT', () => {
    const [disk] = layOut(RECIPES['bookworm-uefi']);
    const offsets = disk?.partitions.map(({ offset, size }) => [offset / MIB, size / MIB]);
    expect(offsets).toEqual([
      [1, 64],
      [65, 1536],
      [1601, 128],
      [1729, 64],
    ]);
    expect(disk?.size).toBe(1794 * MIB);
  });

  test('names partitions as a VMware guest sees them', () => {
    const root = partitionAt(layOut(RECIPES['bookworm-bios']), '/');
    expect(root.kernelName).toBe('/dev/sda2');
    expect(root.byPath).toBe('/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2');
  });

  test('gives a second disk its own letter, target and identifiers', () => {
    const recipe = RECIPES['bookworm-bios'];
    const data = {
      label: 'gpt',
      partitions: [{ mount: '/data', filesystem: 'ext4', sizeMib: 8, namedBy: 'kernel' }],
    } as const;
    const disks = layOut({ ...recipe, disks: [...recipe.disks, data] });
    const partition = partitionAt(disks, '/data');
    expect(partition.kernelName).toBe('/dev/sdb1');
    expect(partition.byPath).toContain('scsi-0:0:1:0-part1');
    expect(partition.uuid).not.toBe(disks[0]?.partitions[0]?.uuid);
  });

  test('is the same every time and differs between recipes', () => {
    expect(layOut(RECIPES['bookworm-bios'])).toEqual(layOut(RECIPES['bookworm-bios']));
    const ids = Object.values(RECIPES).map((recipe) => partitionAt(layOut(recipe), '/').uuid);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('a mount point without a partition is an error in the recipe', () => {
    expect(() => partitionAt(layOut(RECIPES['bookworm-bios']), '/boot/efi')).toThrow(RangeError);
  });
});

test('sfdiskScript counts in sectors and marks the boot partition of a dos label', () => {
  const [disk] = layOut(RECIPES['bookworm-bios']);
  const lines = sfdiskScript(disk!).split('\n');
  expect(lines[0]).toBe('label: dos');
  expect(lines).toContain('start=2048, size=524288, type=83, bootable');
  expect(lines).toContain('start=3672064, size=262144, type=82');
});

test('uuidFrom makes an RFC 9562 UUID of version 4', () => {
  expect(uuidFrom('x')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

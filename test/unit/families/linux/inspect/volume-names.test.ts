import { describe, expect, it } from 'vitest';
import { volumeAliases } from '../../../../../src/families/linux/inspect/volume-names.js';
import { resolveDevice } from '../../../../../src/guest/device-names.js';
import { filesystem, treeOf } from '../../guests.js';

const container = filesystem('/dev/sda3', 'crypto_LUKS', 'aaaa-bbbb');
const inside = filesystem('/dev/mapper/luks-aaaa-bbbb', 'ext4', 'root-uuid');
const context = { filesystems: [container, inside], controllers: [null] };
const unlocked = { device: '/dev/sda3', name: 'luks-aaaa-bbbb', key_file: 'root.key' };

describe('volumeAliases', () => {
  it('lead from crypttab’s names to what the appliance opened', () => {
    const tree = treeOf({
      '/etc/crypttab': '# name\nsda3_crypt /dev/sda3 none luks\nother UUID=zzz none luks\n',
    });
    const aliases = volumeAliases(tree, context, { unlocked: [unlocked], arrays: [] });
    expect(aliases).toEqual({ '/dev/mapper/sda3_crypt': '/dev/mapper/luks-aaaa-bbbb' });
    expect(resolveDevice('/dev/mapper/sda3_crypt', { ...context, aliases })).toBe(inside);
    expect(resolveDevice('/dev/mapper/sda3_crypt', context)).toBeNull();
  });

  it('lead from the names of md arrays, in mdadm.conf or the superblock, to the appliance’s', () => {
    const array = (device: string, uuid: string, name: string) => ({ device, uuid, name, partitions: [] });
    const volumes = {
      unlocked: [],
      arrays: [array('/dev/md127', 'a:b:c:d', 'old-host:0'), array('/dev/md126', 'e:f:g:h', 'web01:boot')],
    };
    const names = (files: Record<string, string>) => volumeAliases(treeOf(files), context, volumes);
    expect(names({})).toEqual({
      ...{ '/dev/md0': '/dev/md127', '/dev/md/0': '/dev/md127' },
      '/dev/disk/by-id/md-uuid-a:b:c:d': '/dev/md127',
      '/dev/disk/by-id/md-name-old-host:0': '/dev/md127',
      '/dev/disk/by-id/md-uuid-e:f:g:h': '/dev/md126',
      '/dev/disk/by-id/md-name-web01:boot': '/dev/md126',
      '/dev/md/boot': '/dev/md126',
    });
    const conf = 'HOMEHOST <system>\nARRAY /dev/md5 metadata=1.2 UUID=e:f:g:h\n';
    expect(names({ '/etc/mdadm/mdadm.conf': conf })).toMatchObject({ '/dev/md5': '/dev/md126' });
    expect(names({ '/etc/mdadm.conf': 'ARRAY /dev/md5 UUID=x:x:x:x\n' })).not.toHaveProperty('/dev/md5');
  });
});

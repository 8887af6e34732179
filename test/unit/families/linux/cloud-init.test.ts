import { describe, expect, it } from 'vitest';
import { cloudInit } from '../../../../src/families/linux/cloud-init.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { CLOUD_LAYOUTS, instanceOf } from '../cloud-layouts.js';
import { type Files, filesystem, type GuestRecipe, guestOf, pathsOf, textAfter } from '../guests.js';

const OWN = '/etc/cloud/cloud.cfg.d/zz-hyper2kvm.cfg';
const MARK = '/var/lib/cloud/instances/i-0123/manual-clean';
const VMWARE: Files = {
  '/etc/cloud/cloud.cfg': 'datasource_list: [ VMware, None ]\n',
  ...instanceOf('DataSourceVMware'),
};

function plan(files: Files, more: GuestRecipe = {}) {
  const guest = guestOf({ files, ...more });
  const result = cloudInit.plan(guest);
  // Every case is one of idempotence too.
  expect(cloudInit.plan(applyOperations(guest, result.operations)).operations).toEqual([]);
  return result;
}
const grubOf = (args: string): Files => ({
  '/boot/grub/grub.cfg': `\tlinux /vmlinuz root=UUID=root ro ${args}\n`,
});

describe.each(Object.entries(CLOUD_LAYOUTS))('%s', (name, files) => {
  it('stays the instance that it was', async () => {
    await expect(planDiff(plan(files))).toMatchFileSnapshot(
      `../golden/cloud-init-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.diff`,
    );
  });

  it('without an instance is told of where it would be started, and not changed', () => {
    const clean = Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith('/var')));
    const { operations, warnings } = plan(clean);
    expect(operations).toEqual([]);
    const isSearched = name.startsWith('Ubuntu');
    expect(warnings).toMatchObject(isSearched ? [] : [{ code: 'cloud.new-instance' }]);
  });
});

describe('nothing is done', () => {
  it.each<[string, Files, GuestRecipe?]>([
    ['without cloud-init', { '/etc/fstab': '' }],
    [
      'by a leftover of a removed package',
      {
        ...VMWARE,
        '/var/lib/dpkg/status': 'Package: cloud-init\nStatus: deinstall ok config-files\nVersion: 1\n',
      },
    ],
    ['where a file disables it', { ...VMWARE, '/etc/cloud/cloud-init.disabled': '' }],
    ['where the kernel’s command line disables it', { ...VMWARE, ...grubOf('cloud-init=disabled') }],
    ['where ds-identify disables it', { ...VMWARE, '/etc/cloud/ds-identify.cfg': 'policy: disabled\n' }],
    [
      'where its units are masked',
      {
        ...VMWARE,
        '/etc/systemd/system/cloud-init-local.service': '-> /dev/null',
        '/etc/systemd/system/cloud-init.service': '-> /dev/null',
      },
    ],
    [
      'where the cache is trusted by its configuration',
      {
        ...VMWARE,
        '/etc/cloud/cloud.cfg.d/99.cfg': 'manual_cache_clean: True\n',
      },
    ],
    ['where the cache is trusted by its mark', { ...VMWARE, [MARK]: '' }],
    ['where the datasource is None', { ...VMWARE, ...instanceOf('DataSourceNone') }],
    [
      'where the seed is a directory of the guest',
      {
        ...VMWARE,
        ...instanceOf('DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud][dsmode=net]'),
        '/var/lib/cloud/seed/nocloud/meta-data': null,
      },
    ],
    [
      'where the seed is a volume that moves too',
      { ...VMWARE, ...instanceOf('DataSourceNoCloud [seed=/dev/sdb][dsmode=net]') },
      { filesystems: [filesystem('/dev/sdb', 'iso9660', null, { label: 'cidata' })] },
    ],
  ])('%s', (_name, files, more) => {
    expect(plan(files, more)).toEqual({ operations: [], warnings: [] });
  });
});

describe('the instance', () => {
  it.each(['/var/lib/cloud/seed/nocloud', '/dev/sr0', 'ovf-env.xml', 'dmi'])(
    'is pinned where its seed %s does not move',
    (seed) => {
      const files = { ...VMWARE, ...instanceOf(`DataSourceNoCloud [seed=${seed}]`) };
      expect(pathsOf(plan(files).operations)).toEqual([OWN, MARK]);
    },
  );

  it.each<[string, Files]>([
    ['ds= of the kernel', grubOf('ds=vmware')],
    ['ds-identify’s datasource', { '/etc/cloud/ds-identify.cfg': 'datasource: VMware\n' }],
    ['ds-identify’s policy', { '/etc/cloud/ds-identify.cfg': 'policy: enabled\n' }],
  ])('is pinned in a long list that %s goes before', (_name, files) => {
    const list = 'datasource_list:\n  - VMware\n  - OVF\n  - None\n';
    const forced = plan({ ...VMWARE, '/etc/cloud/cloud.cfg': list, ...files });
    expect(pathsOf(forced.operations)).toEqual([OWN, MARK]);
    const searched = plan({ ...VMWARE, '/etc/cloud/cloud.cfg': list });
    expect(pathsOf(searched.operations)).toEqual([OWN]);
    expect(textAfter(searched.operations, OWN)).not.toContain('datasource_list');
  });

  it('is pinned by the list that cloud-init takes, the last one', () => {
    const files = { ...VMWARE, '/etc/cloud/cloud.cfg.d/10.cfg': 'datasource_list: [ VMware, OVF, None ]\n' };
    expect(pathsOf(plan(files).operations)).toEqual([OWN]);
  });

  it('that cannot be read back is told of, and keeps its network', () => {
    const { '/var/lib/cloud/instances/i-0123/obj.pkl': _cache, ...files } = VMWARE;
    const { operations, warnings } = plan(files);
    expect(warnings).toMatchObject([{ code: 'cloud.new-instance', fixer: 'cloud-init' }]);
    expect(textAfter(operations, OWN)).toContain('network: {config: disabled}');
  });

  it('is left as it is by hostile files', () => {
    const files = { ...VMWARE, '/etc/cloud/cloud.cfg.d/50.cfg': `a: ${'['.repeat(5_000)}\n` };
    expect(pathsOf(plan(files).operations)).toEqual([OWN, MARK]);
  });
});

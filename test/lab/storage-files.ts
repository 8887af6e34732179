import type { GuestFile, GuestFiles } from './guest-files.ts';
import { arrayUuid, filesystemsOf, keyOf, membersOf, volumeUuid } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';

/** What names the guest's volumes and filesystems beside fstab. */
export function storageFiles(recipe: GuestRecipe): GuestFiles {
  return { ...volumeFiles(recipe), ...unitFiles(recipe), ...lvmFiles(recipe) };
}

/** crypttab, key files and mdadm.conf. */
function volumeFiles(recipe: GuestRecipe): GuestFiles {
  const volumes = recipe.volumes ?? [];
  const luks = volumes.filter(({ kind }) => kind === 'luks');
  const arrays = volumes.filter(({ kind }) => kind === 'md');
  const isRoot = (name: string) => volumes.some(({ on }) => on === name);
  const key = (name: string) => `/etc/keys/${name}.key`;
  const crypttab = luks.map(
    (volume) =>
      `${volume.name}\t${membersOf(recipe, volume)[0]}\t${key(volume.name)}\tluks${isRoot(volume.name) ? ',initramfs' : ''}\n`,
  );
  const array = arrays.map(
    (volume) => `ARRAY /dev/${volume.name} metadata=1.2 UUID=${arrayUuid(volumeUuid(recipe, volume))}\n`,
  );
  return {
    ...(luks.length === 0
      ? {}
      : {
          '/etc/crypttab': {
            content: `# <target name>\t<source device>\t<key file>\t<options>\n${crypttab.join('')}`,
          },
          '/etc/cryptsetup-initramfs/conf-hook': { content: 'KEYFILE_PATTERN="/etc/keys/*.key"\n' },
          '/etc/initramfs-tools/conf.d/umask': { content: 'UMASK=0077\n' },
        }),
    ...Object.fromEntries(
      luks.map((volume) => [key(volume.name), { content: keyOf(recipe, volume), mode: 0o400 }]),
    ),
    ...(arrays.length === 0
      ? {}
      : { '/etc/mdadm/mdadm.conf': { content: `HOMEHOST <system>\nMAILADDR root\n${array.join('')}` } }),
  };
}

/** Mounts and swap as native units, as configuration management writes them (systemd.mount(5), systemd.swap(5)). */
function unitFiles(recipe: GuestRecipe): GuestFiles {
  const units = filesystemsOf(recipe).filter(({ unit }) => unit);
  return Object.fromEntries(
    units.flatMap(({ mount, filesystem, spec }) => {
      const isSwap = filesystem === 'swap';
      const name = isSwap ? `${unitName(spec)}.swap` : `${mount === '/' ? '-' : unitName(mount)}.mount`;
      const path = `/etc/systemd/system/${name}`;
      const target = isSwap ? 'swap.target' : 'local-fs.target';
      const section = isSwap
        ? `[Swap]\nWhat=${spec}\n`
        : `[Mount]\nWhat=${spec}\nWhere=${mount}\nType=${filesystem}\n`;
      return [
        [path, { content: `[Unit]\nDescription=${mount}\n\n${section}\n[Install]\nRequiredBy=${target}\n` }],
        [`/etc/systemd/system/${target}.requires/${name}`, { link: `../${name}` }],
      ] satisfies [string, GuestFile][];
    }),
  );
}

/** As `systemd-escape --path` names it. */
const unitName = (path: string): string =>
  path
    .slice(1)
    .replaceAll(/[^A-Za-z0-9:_./]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`)
    .replaceAll('/', '-');

function lvmFiles({ lvmFilter }: GuestRecipe): GuestFiles {
  if (lvmFilter !== true) return {};
  const filter = `devices {\n\tglobal_filter = [ "a|^/dev/sd[a-z]+[0-9]*$|",\n\t\t"r|.*|" ]\n}\n`;
  return { '/etc/lvm/lvm.conf': { content: `# Disks of this VM only\n${filter}` } };
}

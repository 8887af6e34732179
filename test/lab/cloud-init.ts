import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestFiles } from './guest-files.ts';
import { asRoot } from './privileged.ts';
import type { GuestRecipe } from './recipes.ts';

export const SSH_HOST_KEY = '/etc/ssh/ssh_host_ed25519_key.pub';

/** As it is set up for VMware: no other datasource is ever asked. The lists keep to what the lab looks at. */
export function cloudInitFiles(recipe: GuestRecipe): GuestFiles {
  if (recipe.cloudInit !== true) return {};
  return {
    '/etc/cloud/cloud.cfg.d/99-vmware.cfg': {
      content: `datasource_list: [ VMware, None ]
cloud_init_modules: [ set_hostname, update_hostname, users_groups, ssh ]
cloud_config_modules: [ runcmd ]
cloud_final_modules: [ scripts_user, final_message ]
`,
    },
  };
}

/**
 * Runs cloud-init in the guest's tree as its first boot on VMware did: the datasource gets its metadata (here
 * by the environment, which the datasource reads as it reads guestinfo), the network is configured from it,
 * SSH host keys are made, and the instance is kept in /var/lib/cloud. Interfaces and host name of the
 * namespaces it runs in are not this machine's.
 */
export async function bootWithCloudInit(recipe: GuestRecipe, root: string): Promise<void> {
  const metadata = JSON.stringify(metadataOf(recipe));
  const script = `mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; mount -t sysfs sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
rm -f "$1"/etc/ssh/ssh_host_*
for stage in 'init --local' init 'modules --mode config' 'modules --mode final'; do
  chroot "$1" env VMX_GUESTINFO=1 VMX_GUESTINFO_METADATA="$2" VMX_GUESTINFO_METADATA_ENCODING=base64 cloud-init $stage >&2
done`;
  await asRoot('unshare', [
    ...['--net', '--uts', '--', 'sh', '-ec', script],
    ...['sh', root, Buffer.from(metadata).toString('base64')],
  ]);
}

/** The public SSH host key that cloud-init made, without its type and comment. */
export async function readSshHostKey(root: string): Promise<string> {
  return (await readFile(join(root, SSH_HOST_KEY), 'utf8')).split(' ')[1] ?? '';
}

function metadataOf({ name, network }: GuestRecipe) {
  const { interface: card, static: fixed } = network;
  const configured =
    fixed === undefined
      ? { dhcp4: true }
      : {
          addresses: [fixed.address],
          routes: [{ to: '0.0.0.0/0', via: fixed.gateway }],
          nameservers: { addresses: [fixed.dns] },
        };
  return {
    'instance-id': `${name}-on-vmware`,
    'local-hostname': name,
    network: { version: 2, ethernets: { [card]: configured } },
  };
}

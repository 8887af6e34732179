import type { Warning } from '../../model/plan.js';
import { putFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';
import {
  isDisabled,
  isInstalled,
  isStartedUnseen,
  movesWithGuest,
  OWN_FILE,
  readInstance,
  readSettings,
} from './cloud-init-state.js';
import { kernelCommandLines } from './command-line-files.js';

const NAME = 'cloud-init';

/**
 * Keeps the guest the instance that cloud-init has set up.
 *
 * At each boot cloud-init restores its instance from /var/lib/cloud/instance/obj.pkl and asks the datasource
 * whether it is still there (`check_instance_id`, cloudinit/stages.py). What VMware, OVF, Azure or EC2 gave is
 * not there on KVM: the cache is dropped, the search falls through to None, and the guest becomes the new
 * instance `iid-datasource-none`. Then its SSH host keys are made again, users are set up again, and the network
 * is written anew with DHCP on one card. `manual_cache_clean: true` makes cloud-init trust its cache, as does the
 * file manual-clean in the instance, which ds-identify reads; nothing else in it does. Both stay until somebody
 * takes them away, which is what they are for.
 *
 * - Not installed, disabled, trusted already, or with a datasource that moves with the guest (None, a seed
 *   directory, a volume on one of its disks): nothing is done.
 * - `datasource_list: [VMware, None]`, or one that is forced: ds-identify starts cloud-init on KVM, too. The list
 *   becomes `[ None ]`, so that a cache that cannot be read (after an upgrade of Python) costs no search of
 *   minutes through clouds.
 * - A longer list: ds-identify looks, finds nothing on KVM, and cloud-init is not started. It would be with
 *   another list or with manual-clean, so both stay as they are. `manual_cache_clean` holds where a datasource
 *   turns up all the same (a config drive, another cloud).
 *
 * cloud-init no longer writes the network: Azure, GCE and others do at each boot, from metadata that is not
 * there, and it renames cards as it knew them.
 */
export const cloudInit: Fixer = {
  name: NAME,
  description:
    'cloud-init would take the moved guest for a new instance, as the datasource of the old hypervisor or cloud (VMware, OVF, Azure, EC2, a seed ISO) is not there on KVM: new SSH host keys, users set up again, DHCP in place of static addresses. /etc/cloud/cloud.cfg.d/zz-hyper2kvm.cfg makes it stay with the instance it has (manual_cache_clean) and leave the network as it is; a datasource_list that names one datasource becomes [ None ], and /var/lib/cloud/instance/manual-clean is made. A guest whose cloud-init is disabled, or whose datasource moves with it, is left alone. Before such a guest is made a template for new VMs, remove the two files.',
  plan(guest) {
    const { tree } = guest;
    const nothing = { operations: [], warnings: [] };
    if (!isInstalled(tree)) return nothing;
    const settings = readSettings(tree);
    const commandLines = kernelCommandLines(tree);
    if (isDisabled(tree, commandLines) || settings.isCacheTrusted) return nothing;
    const isStarted = isStartedUnseen(tree, commandLines, settings);
    const instance = readInstance(tree);
    if (instance === null) return { operations: [], warnings: isStarted ? [newInstance(NO_INSTANCE)] : [] };
    if (instance.isMarked || movesWithGuest(instance, guest)) return nothing;
    const source = instance.datasource?.replace(/^DataSource/, '') ?? 'its datasource';
    const reason = `without ${source}, which is not there on KVM, cloud-init would set the guest up as a new instance`;
    const cause = { fixer: NAME, reason };
    const text = [
      '# Written by hyper2kvm: the guest stays the instance that it was before it was moved.',
      ...(isStarted ? ['datasource_list: [ None ]'] : []),
      'manual_cache_clean: true',
      ...(settings.isNetworkDisabled ? [] : ['network: {config: disabled}']),
      '',
    ].join('\n');
    return {
      operations: [
        ...putFile(tree, OWN_FILE, cause, text),
        ...(isStarted ? putFile(tree, `${instance.directory}/manual-clean`, cause, '') : []),
      ],
      warnings: isStarted && !instance.hasCache ? [newInstance(NO_CACHE)] : [],
    };
  },
};

const NO_INSTANCE = 'cloud-init is enabled and /var/lib/cloud has no instance';
const NO_CACHE = 'cloud-init’s record of its instance (/var/lib/cloud/instance/obj.pkl) is missing';

const newInstance = (why: string): Warning => ({
  fixer: NAME,
  code: 'cloud.new-instance',
  message: `${why}: its next boot sets the guest up as a new one, with new SSH host keys. Create /etc/cloud/cloud-init.disabled in the guest to prevent it.`,
});

import { kernelCommandLines } from '../../guest/command-line-files.js';
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

const NAME = 'cloud-init';

/**
 * Keeps the guest the instance that cloud-init has set up.
 *
 * At each boot cloud-init restores its instance from /var/lib/cloud/instance/obj.pkl and asks the datasource
 * whether it still applies (`check_instance_id`, called in cloudinit/stages.py). VMware, OVF, Azure and EC2
 * do not answer on KVM, so the cache is dropped, the search ends at the datasource None, and the guest
 * becomes the new instance `iid-datasource-none`: cc_ssh regenerates the SSH host keys, users are set up
 * again, and the network is configured for DHCP on one card. With `manual_cache_clean: true` cloud-init
 * trusts its cache without asking; ds-identify does not read that setting, but the file `manual-clean` in the
 * instance's directory.
 *
 * - If cloud-init is not installed, disabled, or trusts its cache already, or if the datasource moves with
 *   the guest (None, a seed directory, a volume on one of its disks), nothing is planned.
 * - With `datasource_list: [VMware, None]`, or with a forced datasource, ds-identify starts cloud-init on KVM
 *   too. The list becomes `[ None ]`: if the cache cannot be read one day (cloud-init purges it when Python
 *   is upgraded), no time is lost on searching for clouds.
 * - With a longer list ds-identify searches, finds nothing on KVM, and does not start cloud-init. Another
 *   list or `manual-clean` would start it, so neither is written. `manual_cache_clean` protects the instance
 *   if a datasource turns up after all (a config drive, another cloud).
 *
 * `network: {config: disabled}` keeps cloud-init from writing the network's files: with Azure, GCE and others
 * it does so at each boot, from metadata that is not available any more.
 */
export const cloudInit: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'Without the datasource of the old hypervisor or cloud (VMware, OVF, Azure, EC2, a seed ISO), cloud-init would set the moved guest up as a new instance: new SSH host keys, users set up again, DHCP instead of static addresses. The file /etc/cloud/cloud.cfg.d/zz-hyper2kvm.cfg makes cloud-init keep the instance it has (manual_cache_clean) and leave the network alone. If datasource_list names a single datasource, it becomes [ None ], and /var/lib/cloud/instance/manual-clean is created. A guest whose cloud-init is disabled, or whose datasource moves with it, is not changed. Remove both files before you turn the guest into a template for new VMs, or if it is to be set up by another cloud.',
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
    const reason = `without ${source}, which KVM does not offer, cloud-init would set the guest up as a new instance`;
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
  message: `${why}: the next boot sets the guest up as a new instance, with new SSH host keys. Create /etc/cloud/cloud-init.disabled in the guest to prevent it.`,
});

import type { Files } from './guests.js';

/** What cloud-init keeps of an instance that `datasource` gave. */
export function instanceOf(datasource: string, id = 'i-0123', more: Files = {}): Files {
  const directory = `/var/lib/cloud/instances/${id}`;
  return {
    '/var/lib/cloud/instance': `-> ${directory}`,
    [`${directory}/datasource`]: `${datasource}: ${datasource}\n`,
    [`${directory}/obj.pkl`]: null,
    [`${directory}/sem/config_ssh`]: '1',
    '/var/lib/cloud/data/instance-id': `${id}\n`,
    ...more,
  };
}

const LONG_LIST = `datasource_list: [ NoCloud, ConfigDrive, OpenNebula, DigitalOcean, Azure, AltCloud, OVF, MAAS, GCE, OpenStack, CloudSigma, SmartOS, Bigstep, Scaleway, AliYun, Ec2, CloudStack, Hetzner, IBMCloud, Oracle, Exoscale, RbxCloud, UpCloud, VMware, Vultr, LXD, NWCS, Akamai, WSL, CloudCIX, None ]\n`;
const CLOUD_CFG =
  'users:\n  - default\ndisable_root: true\npreserve_hostname: false\ncloud_init_modules:\n  - seed_random\n  - ssh\n';

/** How distributions lay cloud-init out, each with the instance that it was set up as before the move. */
export const CLOUD_LAYOUTS: Record<string, Files> = {
  'Debian, VMware and None': {
    '/etc/cloud/cloud.cfg': CLOUD_CFG,
    '/etc/cloud/cloud.cfg.d/90_dpkg.cfg':
      '# to update this file, run dpkg-reconfigure cloud-init\ndatasource_list: [ VMware, None ]\n',
    ...instanceOf('DataSourceVMware'),
  },
  'Ubuntu, the package’s own list': {
    '/etc/cloud/cloud.cfg': CLOUD_CFG,
    '/etc/cloud/cloud.cfg.d/90_dpkg.cfg': `# to update this file, run dpkg-reconfigure cloud-init\n${LONG_LIST}`,
    '/etc/netplan/50-cloud-init.yaml':
      'network:\n    version: 2\n    ethernets:\n        ens192:\n            addresses: [10.1.2.3/24]\n            match: {macaddress: "00:50:56:ab:cd:01"}\n            set-name: ens192\n',
    ...instanceOf('DataSourceOVF'),
  },
  'RHEL of Azure, network by hand': {
    '/etc/cloud/cloud.cfg': `${CLOUD_CFG}network:\n  config: disabled\n`,
    '/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg':
      'datasource_list: [ Azure ]\ndatasource:\n  Azure:\n    apply_network_config: False\n',
    '/etc/cloud/ds-identify.cfg': 'policy: search,found=all,maybe=all,notfound=disabled\n',
    ...instanceOf('DataSourceAzure', '1F2E'),
  },
  'Amazon, EC2 and None': {
    '/etc/cloud/cloud.cfg': `${CLOUD_CFG}datasource_list: [ Ec2, None ]\nrepo_upgrade: security\n`,
    '/etc/cloud/cloud.cfg.d/05_logging.cfg': '_log:\n - &log_base |\n   [loggers]\n   keys=root,cloudinit\n',
    ...instanceOf('DataSourceEc2Local', 'i-0abc'),
  },
};

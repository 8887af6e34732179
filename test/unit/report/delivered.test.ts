import { describe, expect, test } from 'vitest';
import type { LibvirtHost } from '../../../src/machine/libvirt-host.js';
import { deliver, deliveredMachine, type Host } from '../../../src/report/delivered.js';
import { readOutputs } from '../../../src/report/report.js';
import { sampleOptions, sampleOutputs } from './sample.js';

const outputs = readOutputs(sampleOutputs());
const job = { job: 'k3x9', vm: 'web01', options: sampleOptions(), finalDirectory: '/srv/it’s mine/web01' };
const QEMU = { name: 'libvirt-qemu', uid: 64055, groups: [107] };
const LIBVIRT: LibvirtHost = {
  isInstalled: true,
  user: QEMU,
  network: 'default',
  isNetworkActive: true,
};
const HOST: Host = {
  accelerator: 'tcg',
  libvirtAccelerator: 'tcg',
  uefi: null,
  libvirt: LIBVIRT,
  closed: [],
  isRoot: true,
};
const commandsOn = (host: Partial<Omit<Host, 'libvirt'>>, libvirt: Partial<LibvirtHost> = {}) =>
  deliver(job, outputs, machine, { ...HOST, ...host, libvirt: { ...LIBVIRT, ...libvirt } }).start.libvirt;
const machine = deliveredMachine(job, outputs, ['web01-disk0.qcow2']);

describe('the delivered VM', () => {
  test('has the hardware of its description and the disks of the bundle', () => {
    expect(machine).toMatchObject({
      memoryMib: 4096,
      vcpus: 4,
      nics: ['00:50:56:9a:bc:de'],
      disks: [{ file: '/srv/it’s mine/web01/web01-disk0.qcow2', format: 'qcow2' }],
    });
    const options = sampleOptions({ vm: { memory: 512, vcpus: 1, firmware: 'uefi' } });
    const asked = deliveredMachine({ ...job, options }, outputs, ['web01-disk0.qcow2']);
    expect(asked).toMatchObject({ memoryMib: 512, vcpus: 1, firmware: 'uefi' });
  });

  test('is defined for the accelerator that the host has, and started with it', () => {
    const { domain, start } = deliver(job, outputs, machine, HOST);
    expect(domain).toContain("<domain type='qemu'>");
    expect(domain).toContain(', formerly Web &lt;01&gt; &amp; &quot;friends&quot;; converted by');
    expect(start.qemu).toContain('-accel tcg,thread=multi');
    const onKvm = { ...HOST, accelerator: 'kvm', libvirtAccelerator: 'kvm' } as const;
    expect(deliver(job, outputs, machine, onKvm).domain).toContain("<domain type='kvm'>");
    expect(deliver(job, outputs, machine, onKvm).start.qemu).toContain('-accel kvm');
    // libvirt may open /dev/kvm, this user may not.
    const other = deliver(job, outputs, machine, { ...HOST, libvirtAccelerator: 'kvm' });
    expect(other.domain).toContain("<domain type='kvm'>");
    expect(other.start.qemu).toContain('-accel tcg');
  });

  test('is started by commands that a shell takes, whatever the path', () => {
    const { start } = deliver(job, outputs, machine, HOST);
    expect(start.libvirt).toEqual([DEFINE]);
    expect(start.qemu).toContain(`file=/srv/it’s mine/web01/web01-disk0.qcow2'`);
  });

  test('is let in to its disks first, where libvirt’s QEMU may not pass', () => {
    expect(commandsOn({ closed: ['/home/me', '/home/me/my vms'] })).toEqual([
      `setfacl -m u:libvirt-qemu:x /home/me '/home/me/my vms'`,
      DEFINE,
    ]);
  });

  test('gets its network started, unless that runs', () => {
    const network = 'virsh net-list --name | grep -qx default || virsh net-start default';
    expect(commandsOn({}, { isNetworkActive: false })).toEqual([network, DEFINE]);
    expect(commandsOn({}, { isNetworkActive: null })).toEqual([network, DEFINE]);
    expect(commandsOn({}, { network: null, isNetworkActive: false })).toEqual([DEFINE]);
    const { domain } = deliver(job, outputs, machine, { ...HOST, libvirt: { ...LIBVIRT, network: 'lab' } });
    expect(domain).toContain("<source network='lab'/>");
  });

  test('is started on the system’s libvirt by whoever is not root, and says where there is none', () => {
    expect(commandsOn({ isRoot: false })[0]).toMatch(/^export LIBVIRT_DEFAULT_URI=qemu:\/\/\/system {2}#/);
    const missing = { isInstalled: false, user: null, isNetworkActive: null };
    expect(commandsOn({}, missing)[0]).toMatch(/^# libvirt is not installed here/);
  });
});

const DEFINE = `virsh define '/srv/it’s mine/web01/web01.xml' && virsh start web01`;

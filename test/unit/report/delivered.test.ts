import { describe, expect, test } from 'vitest';
import type { StartHost } from '../../../src/machine/start-command.js';
import { deliver, deliveredMachine } from '../../../src/report/delivered.js';
import { readOutputs } from '../../../src/report/report.js';
import { sampleOptions, sampleOutputs } from './sample.js';

const outputs = readOutputs(sampleOutputs());
const job = { job: 'k3x9', vm: 'web01', options: sampleOptions(), finalDirectory: '/srv/it’s mine/web01' };
const HOST: StartHost = { accelerator: 'tcg', uefi: null };
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
    expect(start.accelerator).toBe('tcg');
    expect(start.qemu).toContain('-accel tcg,thread=multi');
    const onKvm = deliver(job, outputs, machine, { ...HOST, accelerator: 'kvm' });
    expect(onKvm.domain).toContain("<domain type='kvm'>");
    expect(onKvm.start.qemu).toContain('-accel kvm');
  });

  test('is started by commands that a shell takes, whatever the path', () => {
    const { start } = deliver(job, outputs, machine, HOST);
    expect(start.libvirt).toEqual([`virsh define '/srv/it’s mine/web01/web01.xml' && virsh start web01`]);
    expect(start.qemu).toContain(`file=/srv/it’s mine/web01/web01-disk0.qcow2'`);
  });
});

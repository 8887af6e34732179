import { describe, expect, it } from 'vitest';
import { planGuest } from '../../../../src/families/plan.js';
import { firstBootFixer } from '../../../../src/families/windows/first-boot.js';
import { textData } from '../../../../src/guest/registry/make-value.js';
import { GuestTree } from '../../../../src/guest/tree.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { binary, dword, sz } from '../../guest/registry/make-hive.js';
import { labDrivers } from './drivers/lab-drivers.js';
import { type Keys, type WindowsRecipe, windowsDisks } from './make-windows.js';
import { FIRST_BOOT_PROGRAM as PROGRAM, planWindows, systemValue } from './plan-windows.js';
import { WINDOWS_10_ON_VMWARE } from './vmware-facts.js';

const WINDOWS_10: WindowsRecipe = {
  ...{ build: 18362, product: 'Windows 10 Enterprise', edition: 'Enterprise', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios', system: WINDOWS_10_ON_VMWARE },
};
const WINDOWS_7: WindowsRecipe = {
  ...{ build: 7601, product: 'Windows 7 Ultimate', edition: 'Ultimate', installation: 'Client' },
  ...{ machine: 'x86', firmware: 'bios' },
};
const DIRECTORY = '/Program Files/hyper2kvm/firstboot';
const KEY = 'Services\\hyper2kvm-firstboot';

/** A tree with these files in a directory. */
function treeWith(directory: string, names: readonly string[]): GuestTree {
  const entry = { mode: 0o755, uid: 0, gid: 0, size: 0 };
  const parts = directory.split('/').slice(1);
  return new GuestTree([
    ...parts.map((_, index) => ({
      path: `/${parts.slice(0, index + 1).join('/')}`,
      type: 'directory' as const,
      ...entry,
    })),
    ...names.map((name) => ({ path: `${directory}/${name}`, type: 'file' as const, ...entry })),
  ]);
}

describe('the fixer of the first boot', () => {
  it('writes plan and program, and makes a service that Windows starts as SYSTEM', async () => {
    const { guest } = await planWindows(WINDOWS_10);
    const { operations, warnings } = firstBootFixer.plan({ ...guest, firstBootProgram: PROGRAM });
    expect(operations[0]).toMatchObject({
      ...{ op: 'first_boot', path: `${DIRECTORY}/plan.tsv` },
      program: { ...PROGRAM, path: `${DIRECTORY}/h2kfirst.exe` },
      directories: ['/Program Files/hyper2kvm', DIRECTORY],
    });
    const values = operations.flatMap((operation) => (operation.op === 'registry' ? operation.changes : []));
    const dword = (number: number) => ({ type: 4, data: `${number.toString(16).padStart(2, '0')}000000` });
    const wanted = {
      ...{ Type: dword(0x10), Start: dword(2), ErrorControl: dword(0), ObjectName: textData('LocalSystem') },
      ImagePath: textData('"%ProgramFiles%\\hyper2kvm\\firstboot\\h2kfirst.exe"', 2),
    };
    for (const [name, after] of Object.entries(wanted))
      expect(values).toContainEqual({
        change: 'set',
        key: `ControlSet001\\${KEY}`,
        name,
        before: null,
        after,
      });
    expect(warnings.map(({ code }) => code)).not.toContain('devices.windows-first-boot-batch');
  });

  it('plans nothing when it runs again, and a new folder of states once the first boot was', async () => {
    const { after } = await planWindows(WINDOWS_10);
    expect(systemValue(after, KEY, 'State')).toEqual(textData('state'));
    expect(firstBootFixer.plan(after).operations).toEqual([]);

    const { guest } = await planWindows(WINDOWS_10);
    const entry = { mode: 0o755, uid: 0, gid: 0, size: 0 };
    const paths = ['/program files', '/program files/hyper2kvm', '/program files/hyper2kvm/firstboot'];
    const tree = new GuestTree([
      ...paths.map((path) => ({ path, type: 'directory' as const, ...entry })),
      { path: `${paths[2]}/State`, type: 'directory', ...entry },
    ]);
    const [again] = firstBootFixer.plan({ ...guest, tree, firstBootProgram: PROGRAM }).operations;
    expect(again).toMatchObject({ path: `${paths[2]}/plan.tsv` });
    expect(again).toHaveProperty('text', expect.stringMatching(/^hyper2kvm-firstboot\t1\tstate-2\n/));
  });

  it('keeps what is finished of the same plan, and begins another one anew', async () => {
    const script = { source: '/etc/hyper2kvm/steps/10-join.cmd', size: 7, sha256: '0c'.repeat(32) };
    const { after } = await planWindows(WINDOWS_10, {}, {}, null, { firstBootScripts: [script] });
    const halfDone = { ...after, tree: treeWith(`${DIRECTORY}/state`, ['operator-1.done']) };
    expect(firstBootFixer.plan(halfDone).operations).toEqual([]);
    const other = { ...script, sha256: 'ff'.repeat(32) };
    const [files, values] = firstBootFixer.plan({ ...halfDone, firstBootScripts: [other] }).operations;
    expect(files).toHaveProperty('text', expect.stringMatching(/^hyper2kvm-firstboot\t1\tstate-2\n/));
    expect(values).toHaveProperty(
      'changes',
      expect.arrayContaining([expect.objectContaining({ name: 'State', after: textData('state-2') })]),
    );
  });

  it('runs the operator’s batch files behind its own steps, in either form', async () => {
    const scripts = ['10-join.cmd', '20 agent.cmd'].map((name, index) => ({
      ...{ source: `/etc/hyper2kvm/steps/${name}`, size: 7, sha256: `${index}c`.repeat(32) },
    }));
    const { guest, plan, after } = await planWindows(WINDOWS_10, {}, {}, null, { firstBootScripts: scripts });
    const files = plan.operations.find((operation) => operation.op === 'first_boot');
    expect(files).toMatchObject({
      scripts: scripts.map((script) => ({
        ...script,
        path: `${DIRECTORY}/steps/${script.source.slice('/etc/hyper2kvm/steps/'.length)}`,
      })),
      directories: ['/Program Files/hyper2kvm', DIRECTORY, `${DIRECTORY}/steps`],
    });
    const folder = '%ProgramFiles%\\hyper2kvm\\firstboot\\steps';
    const cmd = '"%SystemRoot%\\System32\\cmd.exe" /d /c';
    const lines = files?.text.split('\n') ?? [];
    const end = lines.indexOf('end');
    expect(lines.slice(end - 2, end)).toEqual([
      `operator-1\t3600\trun\tcommand=${cmd} ""${folder}\\10-join.cmd""`,
      `operator-2\t3600\trun\tcommand=${cmd} ""${folder}\\20 agent.cmd""`,
    ]);
    expect(planDiff(plan)).toContain(
      `copy ${scripts[1]!.source} of this host -> ${DIRECTORY}/steps/20 agent.cmd`,
    );
    // A second run plans nothing, unless one of them is another since.
    expect(firstBootFixer.plan(after).operations).toEqual([]);
    const [changed] = firstBootFixer.plan({
      ...after,
      firstBootScripts: [scripts[0]!, { ...scripts[1]!, sha256: 'ff'.repeat(32) }],
    }).operations;
    expect(changed).toMatchObject({ op: 'first_boot', text: files?.text });
    const batch = planGuest({ ...guest, firstBootProgram: null });
    const text =
      batch.operations.find((operation) => operation.op === 'first_boot')?.text.split('\r\n') ?? [];
    expect(text.indexOf('call :try operator-1')).toBeGreaterThan(0);
    expect(text.indexOf('call :try operator-2')).toBeLessThan(text.indexOf('call :try report'));
    expect(text).toContain(`${cmd} ""${folder}\\20 agent.cmd"" >>log.txt 2>&1`);
  });

  it('leaves a publisher trusted that Windows trusted before, as INSPECT sees it', async () => {
    const thumbprint = 'AB'.repeat(20);
    const drivers = await labDrivers({ build: 7601, architecture: 'x86' }, 'w7', ['viostor']);
    for (const driver of drivers.packages)
      driver.signer = { name: 'Red Hat', thumbprint: thumbprint.toLowerCase(), certificate: 'REVS' };
    const trustLines = async (software: Keys) => {
      const { plan } = await planWindows({ ...WINDOWS_7, software }, {}, {}, drivers);
      const [files] = plan.operations.filter((operation) => operation.op === 'first_boot');
      return files?.text.match(/^(?:dis)?trust-.*?\t/gm) ?? [];
    };
    const store = 'Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates';
    expect(await trustLines({})).toEqual(['trust-1\t', 'distrust-1\t']);
    expect(await trustLines({ [`${store}\\${thumbprint}`]: [binary('Blob', '00')] })).toEqual([]);
  });

  it('is a batch file, with a warning, without a program or under a code integrity policy', async () => {
    const { guest } = await planWindows(WINDOWS_10);
    const without = planGuest({ ...guest, firstBootProgram: null });
    expect(without.warnings.map(({ code }) => code)).toContain('devices.windows-first-boot-batch');
    expect(planDiff(without)).toContain('firstboot.cmd');
    const filesUnder = (policies: readonly string[]) => {
      const tree = treeWith(
        `${guest.identity.system_root}/System32/CodeIntegrity/CiPolicies/Active`,
        policies,
      );
      return firstBootFixer.plan({ ...guest, tree, firstBootProgram: PROGRAM }).operations[0];
    };
    const drivers = '{d2bda982-ccf6-4344-ac5b-0b44427b6816}.cip';
    const batch = { path: `${DIRECTORY}/firstboot.cmd`, program: null };
    expect(filesUnder(['{A}.cip'])).toMatchObject(batch);
    expect(filesUnder([drivers, '{0283ac0f-fff1-49ae-ada1-8a933130cad6}.cip'])).toMatchObject(batch);
    // The only policy, as Windows 10 had it before 1903, and those on the ESP.
    const only = treeWith(`${guest.identity.system_root}/System32/CodeIntegrity`, ['sipolicy.p7b']);
    expect(
      firstBootFixer.plan({ ...guest, tree: only, firstBootProgram: PROGRAM }).operations[0],
    ).toMatchObject(batch);
    // The block list of drivers is active on every Windows 11, and lets all programs run.
    expect(filesUnder([drivers, drivers.toUpperCase()])).toMatchObject({ path: `${DIRECTORY}/plan.tsv` });
  });

  it.each([
    ['/EFI/Microsoft/Boot/CIPolicies/Active/{A}.cip', 'firstboot.cmd'],
    ['/EFI/Microsoft/Boot/SiPolicy.p7b', 'firstboot.cmd'],
    ['/EFI/Microsoft/Boot/CiPolicies/Active/{D2BDA982-CCF6-4344-AC5B-0B44427B6816}.cip', 'plan.tsv'],
    ['/EFI/Microsoft/Boot/CiPolicies/Active/readme.txt', 'plan.tsv'],
  ])('with %s on the ESP is %s', async (path, expected) => {
    const recipe = { ...WINDOWS_10, firmware: 'uefi' as const };
    const disks = windowsDisks(recipe);
    Object.assign(disks.filesystems!['/dev/sda1']!, { [path]: 'policy' });
    const { plan } = await planWindows(recipe, {}, {}, null, {}, disks);
    expect(planDiff(plan)).toContain(expected);
  });

  it('uninstalls VMware Tools, but not from under the vmxnet3 card that the VM has', async () => {
    const uninstall = 'Microsoft\\Windows\\CurrentVersion\\Uninstall\\{11111111-2222-3333-4444-555555555555}';
    const recipe = (start: number): WindowsRecipe => ({
      ...WINDOWS_10,
      system: { ...WINDOWS_10.system, '@\\Services\\vmxnet3ndis6': [dword('Start', start)] },
      software: { [uninstall]: [sz('DisplayName', 'VMware Tools'), sz('DisplayVersion', '12.1.0')] },
    });
    const [disabled, installed] = [await planWindows(recipe(4)), await planWindows(recipe(3))];
    expect(disabled.plan.devices.nic_model).toBe('e1000e');
    expect(planDiff(disabled.plan)).toContain('msiexec.exe" /x {11111111');
    expect(installed.plan.devices.nic_model).toBe('vmxnet3');
    expect(planDiff(installed.plan)).not.toContain('msiexec');
    const codes = (plan: typeof installed.plan) => plan.warnings.map(({ code }) => code);
    expect(codes(installed.plan)).toContain('devices.windows-tools-stay');
    expect(codes(disabled.plan)).not.toContain('devices.windows-tools-stay');
  });
});

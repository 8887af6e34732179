import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '#hyper2kvm/families/windows/first-boot/limits.js';
import { planFile } from '#hyper2kvm/families/windows/first-boot/plan-file.js';
import { firstBootSteps } from '#hyper2kvm/families/windows/first-boot/steps.js';
import { run } from '#hyper2kvm/tools/run.js';
import { type FirstBootService, HERE, newFirstBootService } from '../lab/windows/first-boot-service.ts';
import { openWine, type Wine } from '../lab/windows/wine.ts';

// The first-boot program as a service of a Windows that is wine: its service manager, processes, jobs, registry
// and network interfaces are real; pnputil, netsh and msiexec are recorders. `npm run test:wine32` is the same with the
// 32-bit program.

let wine: Wine;
let service: FirstBootService;
beforeAll(async () => {
  wine = await openWine(process.env.HYPER2KVM_TEST_WINE === 'i686' ? 'i686' : 'x86_64');
});
afterAll(() => wine.close());
beforeEach(async ({ signal }) => {
  service = await newFirstBootService(wine, signal);
});

const plan = (...lines: string[]) => ['hyper2kvm-firstboot\t1\tstate', ...lines, ''].join('\n');
const step = (...fields: (string | number)[]) => fields.join('\t');
const SERVICES = 'HKLM\\SYSTEM\\CurrentControlSet\\Services';
const MSIEXEC = 'C:\\windows\\system32\\msiexec.exe';
const PNPUTIL = 'C:\\windows\\system32\\pnputil.exe';

describe('the service', () => {
  test('carries out the plan in its order, restores, reports, and deletes itself', async () => {
    const port = wine.path('serial');
    await writeFile(port, '');
    await symlink(port, join(wine.devices, 'com9'));
    await service.codes('pnputil', 259, 5, 5, 0);
    await service.install(
      plan(
        step(
          'driver-one',
          60,
          'run',
          'good=0,259',
          `command="${PNPUTIL}" /add-driver "C:\\one.inf" /install`,
        ),
        step(
          'driver-two',
          60,
          'run',
          'good=0,259',
          `command="${PNPUTIL}" /add-driver "C:\\two.inf" /install`,
        ),
        step('vmware-tools', 60, 'run', `command=${MSIEXEC} /x {11111111-2222-3333-4444-555555555555} /qn`),
        'end',
        step(
          'restore-1',
          30,
          'registry',
          'key=SYSTEM\\CurrentControlSet\\Control\\CrashControl',
          'name=AutoReboot',
          'type=4',
          'data=01000000',
        ),
        step(
          'restore-2',
          30,
          'registry',
          'key=SYSTEM\\CurrentControlSet\\Services\\partmgr\\Parameters',
          'name=SanPolicy',
        ),
        step('report', 30, 'report', 'port=\\\\.\\COM9'),
      ),
    );
    await wine.run([
      'reg',
      'add',
      `${SERVICES}\\partmgr\\Parameters`,
      '/v',
      'SanPolicy',
      '/t',
      'REG_DWORD',
      '/d',
      '1',
    ]);
    const log = await service.start('service deleted');
    expect(await service.recorded()).toEqual([
      `"${PNPUTIL}" /add-driver "C:\\one.inf" /install`,
      `"${PNPUTIL}" /add-driver "C:\\two.inf" /install`,
      `"${PNPUTIL}" /add-driver "C:\\two.inf" /install`,
      `${MSIEXEC} /x {11111111-2222-3333-4444-555555555555} /qn`,
    ]);
    expect(await service.states()).toEqual(expect.arrayContaining(['driver-one.done', 'driver-two.passed']));
    expect(log).not.toContain('restart');
    const crash = [
      'reg',
      'query',
      'HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl',
      '/v',
      'AutoReboot',
    ];
    expect(await wine.run(crash)).toMatch(/AutoReboot\s+REG_DWORD\s+0x1\b/);
    expect(await wine.run(['reg', 'query', `${SERVICES}\\partmgr\\Parameters`])).not.toContain('SanPolicy');
    expect(await readFile(port, 'utf8')).toContain(
      '{"hyper2kvm_firstboot":{"done":["driver-one","vmware-tools","restore-1","restore-2"],"passed":["driver-two"]}}',
    );
    expect(await service.isDeleted()).toBe(true);
  });

  test('killed in the middle of a step, it tries that step once more and goes on', async () => {
    await service.codes('msiexec', 0, 'hang', 0);
    await service.install(
      plan(
        ...['one', 'two', 'three'].map((id) => step(id, 300, 'run', `command=${MSIEXEC} ${id}`)),
        'end',
        step('last', 30, 'run', `command=${MSIEXEC} last`),
      ),
    );
    await service.start('msiexec.exe two');
    await service.kill(2);
    expect(await service.recorded()).toEqual([`${MSIEXEC} one`, `${MSIEXEC} two`]);
    await service.start('service deleted');
    expect(await service.recorded()).toEqual(
      ['one', 'two', 'two', 'three', 'last'].map((id) => `${MSIEXEC} ${id}`),
    );
    expect(await service.states()).toContain('two.try2');
  });

  test('a step that brings the machine down twice is passed over at the third start', async () => {
    await service.codes('msiexec', 'hang', 'hang', 0);
    await service.install(
      plan(...['one', 'two'].map((id) => step(id, 300, 'run', `command=${MSIEXEC} ${id}`))),
    );
    for (let time = 0; time < 2; time++) {
      await service.start('msiexec.exe one');
      await service.kill(time + 1);
    }
    await service.start('service deleted');
    expect(await service.recorded()).toEqual(['one', 'one', 'two'].map((id) => `${MSIEXEC} ${id}`));
    expect(await service.states()).toContain('one.passed');
  });

  test('a step over its limit is ended with what it started, and the next one runs', async () => {
    await service.codes('msiexec', 'hang');
    await service.install(
      plan(
        step('slow', 2, 'run', `command=C:\\windows\\system32\\cmd.exe /c ${MSIEXEC} slow`),
        step('next', 60, 'run', `command=${PNPUTIL} next`),
      ),
    );
    const log = await service.start('service deleted');
    expect(log.match(/slow: took longer than 2 s, ended/g)).toHaveLength(2);
    expect(await service.recorded()).toContain(`${PNPUTIL} next`);
    await service.finish();
    expect(await wine.processes((command) => command.includes('slow'))).toEqual([]);
  });

  test('restarts once, after everything, for the codes 3010 and 1641', async () => {
    await service.codes('msiexec', 3010, 1641, 0);
    await service.install(
      plan(...['one', 'two', 'three'].map((id) => step(id, 60, 'run', `command=${MSIEXEC} ${id}`))),
    );
    const log = await service.start('Z restart');
    expect(log).toMatch(/three: done.*Z end.*service deleted.*Z restart/s);
    expect(log.match(/Z restart/g)).toHaveLength(1);
    expect(await service.states()).toEqual(expect.arrayContaining(['one.done', 'two.done', 'three.done']));
  });

  test('for code 249 it restarts before the last steps, and runs the step once more', async () => {
    await service.codes('msiexec', 249, 0, 249, 0);
    await service.install(
      plan(
        ...['one', 'two'].map((id) => step(id, 60, 'run', `command=${MSIEXEC} ${id}`)),
        'end',
        step('last', 30, 'run', `command=${PNPUTIL} last`),
      ),
    );
    await service.start('Z restart');
    expect(await service.recorded()).toEqual([`${MSIEXEC} one`, `${MSIEXEC} two`]);
    const log = await service.start('service deleted');
    expect(log).not.toContain('Z restart');
    expect(await service.recorded()).toEqual([
      `${MSIEXEC} one`,
      `${MSIEXEC} two`,
      `${MSIEXEC} one`,
      `${PNPUTIL} last`,
    ]);
    expect(await service.states()).toContain('one.passed');
  });

  test('an installer that is busy is asked again inside of one step', async () => {
    await service.codes('msiexec', 1618, 1618, 0);
    await service.install(
      plan(step('agent', 60, 'run', 'times=10', 'pause=1', `command=${MSIEXEC} /i agent.msi`)),
    );
    await service.start('service deleted');
    expect(await service.recorded()).toHaveLength(3);
    expect(await service.states()).toEqual(expect.arrayContaining(['agent.done', 'agent.try1']));
    expect(await service.states()).not.toContain('agent.try2');
  });

  test('the operator’s batch files run in their order, behind the steps before the end', async () => {
    const scripts = {
      '10-first.cmd': `@"${MSIEXEC}" first "%CD%"\r\n@echo what it prints\r\n@exit /b 3010\r\n`,
      '20 second.cmd': `@"${MSIEXEC}" second\r\n@exit /b 5\r\n`,
    };
    const hive = (path: string) => ({ path, recovered: null, keys: [] });
    const { steps, leftOut } = firstBootSteps({
      identity: { build: 17763, interfaces: [], routes: [], qemu_guest_agent: false },
      ...{ system: hive('/SYSTEM'), software: hive('/SOFTWARE'), nics: [], drivers: null },
      ...{ bringDisksOnline: true, removeTools: false, scripts: Object.keys(scripts) },
      restores: [{ key: 'Control\\Lab', name: 'Before', before: null }],
    });
    expect(leftOut).toEqual([]);
    await service.install(planFile(steps, 'state'));
    for (const [name, text] of Object.entries(scripts))
      await writeFile(wine.path(...HERE, 'steps', name), text);
    const log = await service.start('Z restart');
    const second = `"${MSIEXEC}" second`;
    expect(await service.recorded()).toEqual([
      `"${MSIEXEC}" first "C:\\${HERE.join('\\')}"`,
      ...[second, second],
    ]);
    expect(log).toMatch(/operator-1: done.*operator-2: passed over.*restore-1: done.*service deleted/s);
    expect(log).toContain('what it prints');
    expect(await service.states()).toEqual(expect.arrayContaining(['operator-1.done', 'operator-2.passed']));
  });

  test.each([
    ['of another version', 'hyper2kvm-firstboot\t2\tstate\n'],
    ['with a name that leaves the folder', plan(step('..\\x', 5, 'rescan'))],
    ['whose state would be elsewhere', 'hyper2kvm-firstboot\t1\t..\n'],
    ['without a limit', plan(step('one', 0, 'rescan'))],
    ['with a line too short', plan('one\t5')],
  ])('a plan %s does nothing, and the service goes', async (_, text) => {
    await service.install(text);
    const log = await service.start('service deleted');
    expect(log).toContain('plan.tsv cannot be read');
    expect(await service.isDeleted()).toBe(true);
  });
});

describe('a large plan', () => {
  test('is carried out, up to the limits that PLAN keeps to', async () => {
    const port = wine.path('serial-large');
    await writeFile(port, '');
    await symlink(port, join(wine.devices, 'com8'));
    const longest = (number: number) => `step-${number}`.padEnd(LIMITS.MAX_NAME, '-');
    const names = Array.from({ length: 600 }, (_, number) => longest(number));
    const filler = 'x'.repeat(LIMITS.MAX_COMMAND - MSIEXEC.length - 1);
    await service.install(
      plan(
        ...names.map((name) => step(name, LIMITS.MAX_SECONDS, 'rescan')),
        step('many', 60, 'disks', ...Array.from({ length: 20_000 }, () => `gpt=${'0'.repeat(36)}`)),
        step('long', 60, 'run', `command=${MSIEXEC} ${filler}`),
        step(
          'value',
          60,
          'registry',
          ...['key=SOFTWARE\\large', 'name=value', 'type=3', `data=${'ab'.repeat(LIMITS.MAX_VALUE_BYTES)}`],
        ),
        step('report', 60, 'report', 'port=\\\\.\\COM8'),
      ),
    );
    // All but these were done before.
    await mkdir(wine.path(...HERE, 'state'));
    for (const name of names) await writeFile(wine.path(...HERE, 'state', `${name}.done`), '');
    await service.start('service deleted');
    const { hyper2kvm_firstboot: report } = JSON.parse(await readFile(port, 'utf8'));
    expect(report).toEqual({ done: [...names, 'many', 'long', 'value'], passed: [] });
    expect((await service.recorded())[0]).toHaveLength(LIMITS.MAX_COMMAND);
    const value = await wine.run(['reg', 'query', 'HKLM\\SOFTWARE\\large', '/v', 'value']);
    expect(value).toContain('AB'.repeat(LIMITS.MAX_VALUE_BYTES));
  });

  test('has all of a card with hundreds of addresses in the registry, where netsh fails', async () => {
    const addresses = Array.from({ length: 600 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    const servers = Array.from({ length: 300 }, (_, index) => `192.168.100.${index & 255}`);
    await service.writeInterface(
      plan(
        step(
          'network',
          900,
          'network',
          ...addresses.map((address) => `address=${address}/16`),
          ...addresses.map((address) => `gateway=${address}/5`),
          ...servers.map((server) => `dns=${server}`),
        ),
      ),
    );
    const key = `${SERVICES}\\Tcpip\\Parameters\\Interfaces\\{11111111-2222-3333-4444-555555555555}`;
    const values = await wine.run(['reg', 'query', key]);
    const list = (name: string) =>
      new RegExp(`${name}\\s+REG_\\w+\\s+(\\S*)`).exec(values)?.[1]?.split(/\\0|,/).filter(Boolean);
    expect(list('IPAddress')).toEqual(addresses);
    expect(list('SubnetMask')).toEqual(addresses.map(() => '255.255.0.0'));
    expect(list('DefaultGateway')).toEqual(addresses);
    expect(list('DefaultGatewayMetric')).toEqual(addresses.map(() => '5'));
    expect(list('NameServer')).toEqual(servers);
  });
});

describe('the build', () => {
  test('gives the same bytes again elsewhere, with five libraries of Windows', async () => {
    const repository = fileURLToPath(new URL('../..', import.meta.url));
    const scratch = await mkdtemp(join(tmpdir(), 'h2k-firstboot-'));
    try {
      const sources = join(scratch, 'elsewhere');
      await run('cp', ['-r', join(repository, 'src/families/windows/first-boot'), sources]);
      await run('sh', [join(sources, 'build.sh'), join(scratch, 'out')], { cwd: '/' });
      for (const machine of ['x86_64', 'i686']) {
        const built = await readFile(join(scratch, 'out', machine, 'h2kfirst.exe'));
        const shipped = await readFile(join(repository, 'dist/first-boot', machine, 'h2kfirst.exe'));
        expect(built.equals(shipped)).toBe(true);
        const { stdout } = await run(`${machine}-w64-mingw32-objdump`, [
          '-p',
          join(scratch, 'out', machine, 'h2kfirst.exe'),
        ]);
        const libraries = [...stdout.toString().matchAll(/DLL Name: (\S+)/g)].map(([, name]) =>
          name!.toLowerCase(),
        );
        expect(libraries.sort()).toEqual(
          ['advapi32', 'iphlpapi', 'kernel32', 'msvcrt', 'setupapi'].map((name) => `${name}.dll`),
        );
      }
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});

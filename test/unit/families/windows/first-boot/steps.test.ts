import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { commandFile } from '../../../../../src/families/windows/first-boot/command-file.js';
import { LIMITS } from '../../../../../src/families/windows/first-boot/limits.js';
import { planFile } from '../../../../../src/families/windows/first-boot/plan-file.js';
import { type FirstBootFacts, firstBootSteps } from '../../../../../src/families/windows/first-boot/steps.js';
import type { CapturedHive } from '../../../../../src/guest/registry/captured.js';
import { textData } from '../../../../../src/guest/registry/make-value.js';
import type { DriverPackage, DriverSet } from '../../../../../src/model/driver-set.js';
import type { WindowsInterface } from '../../../../../src/model/windows-identity.js';

const hive = (path: string, keys: CapturedHive['keys'] = []): CapturedHive => ({
  path,
  recovered: null,
  keys,
});

const adapter = (change: Partial<WindowsInterface>): WindowsInterface => ({
  ...{ guid: '{A}', name: 'Ethernet0', device: 'PCI\\VEN_15AD&DEV_07B0\\FF0C2900', mac: null },
  ...{
    mac_source: null,
    permanent_mac: null,
    dhcp: false,
    addresses: [],
    gateways: [],
    dns: [],
    suffix: null,
  },
  ...change,
});
const nic = (mac: string) => ({ mac, model: 'vmxnet3', network: null, pci_slot: null }) as never;

const facts = (change: Partial<FirstBootFacts> = {}, identity: object = {}): FirstBootFacts => ({
  identity: { build: 17763, interfaces: [], routes: [], qemu_guest_agent: false, ...identity },
  ...{ system: hive('/s/SYSTEM'), software: hive('/s/SOFTWARE'), nics: [], drivers: null },
  ...{ bringDisksOnline: true, removeTools: false, scripts: [], restores: [] },
  ...change,
});

const file = (destination: string) => ({
  ...{ source: '/virtio', size: 1, sha256: '00', version: null, destinations: [destination] },
});
const driver = (name: string, inf: string, extra: string[] = []): DriverPackage =>
  ({
    ...{ name, inf, folder: '', release: '2k19', isBoot: false, className: null, classGuid: null },
    ...{ provider: null, driverVersion: null, devices: [], services: [] },
    signer: {
      name: 'Red Hat',
      thumbprint: 'ab'.repeat(20),
      certificate: Buffer.from('DER').toString('base64'),
    },
    files: [inf, ...extra].map((base) => file(`\\Windows\\Drivers\\VirtIO\\${base}`)),
  }) as DriverPackage;
const DRIVERS: DriverSet = {
  packages: [driver('netkvm', 'netkvm.inf'), driver('balloon', 'balloon.inf', ['blnsvr.exe'])],
  guestAgent: file('\\Windows\\Drivers\\VirtIO\\qemu-ga-x86_64.msi'),
  ...{ refusals: [], warnings: [] },
};
const linesOf = (given: FirstBootFacts) => planFile(firstBootSteps(given).steps, 'state').split('\n');

describe('the first boot', () => {
  it('of a server with two static cards: everything, in its order', () => {
    const interfaces = [
      adapter({
        mac: '00:50:56:aa:00:01',
        addresses: [
          { address: '10.0.0.5', prefix: 24 },
          { address: '10.0.0.6', prefix: 24 },
          { address: '2001:db8::5', prefix: 64 },
        ],
        gateways: [
          { address: '10.0.0.1', metric: 5 },
          { address: '10.0.0.1', metric: 5 },
          { address: '10.0.0.2', metric: null },
        ],
        ...{ dns: ['10.0.0.53', '2001:db8::53'], suffix: 'example.org' },
      }),
      adapter({ guid: '{B}', name: 'Bäckup', mac: '00:50:56:aa:00:02', dhcp: true, device: 'PCI\\B' }),
      adapter({ guid: '{C}', mac: '00:50:56:aa:00:99', addresses: [{ address: '192.0.2.1', prefix: 24 }] }),
    ];
    const routes = [{ destination: '0.0.0.0', mask: '0.0.0.0', gateway: '10.0.0.2', metric: null }];
    const tools = 'Microsoft\\Windows\\CurrentVersion\\Uninstall\\{11111111-2222-3333-4444-555555555555}';
    const given = facts(
      {
        drivers: DRIVERS,
        removeTools: true,
        nics: [nic('00:50:56:AA:00:01'), nic('00:50:56:aa:00:02')],
        system: hive('/s/SYSTEM', [
          {
            path: 'MountedDevices',
            values: [
              { name: '\\DosDevices\\C:', type: 3, data: '3ea0be5c0000100000000000' },
              {
                name: '\\DosDevices\\E:',
                type: 3,
                data: `${Buffer.from('DMIO:ID:').toString('hex')}00112233445566778899aabbccddeeff`,
              },
              {
                name: '\\DosDevices\\D:',
                type: 3,
                data: Buffer.from('\\??\\IDE#CdRom', 'utf16le').toString('hex'),
              },
            ],
          },
        ]),
        software: hive('/s/SOFTWARE', [
          { path: tools, values: [{ name: 'DisplayName', ...textData('VMware Tools') }] },
        ]),
        restores: [
          { key: 'Control\\CrashControl', name: 'AutoReboot', before: { type: 4, data: '01000000' } },
          { key: 'Services\\partmgr\\Parameters', name: 'SanPolicy', before: null },
        ],
      },
      { interfaces, routes },
    );
    expect(linesOf(given)).toEqual([
      'hyper2kvm-firstboot\t1\tstate',
      'disks\t120\tdisks\tmbr=5cbea03e\tgpt=33221100-5544-7766-8899-aabbccddeeff',
      'driver-netkvm\t300\trun\tgood=259\tcommand="%SystemRoot%\\System32\\pnputil.exe" /add-driver "%SystemRoot%\\Drivers\\VirtIO\\netkvm.inf" /install',
      'driver-balloon\t300\trun\tgood=259\tcommand="%SystemRoot%\\System32\\pnputil.exe" /add-driver "%SystemRoot%\\Drivers\\VirtIO\\balloon.inf" /install',
      'rescan\t180\trescan',
      'network-005056aa0001\t900\tnetwork\tmac=00:50:56:aa:00:01\tname=Ethernet0\tghost=PCI\\VEN_15AD&DEV_07B0\\FF0C2900\taddress=10.0.0.5/24\taddress=10.0.0.6/24\taddress=2001:db8::5/64\tgateway=10.0.0.1/5\tdns=10.0.0.53\tdns=2001:db8::53\tsuffix=example.org',
      'network-005056aa0002\t900\tnetwork\tmac=00:50:56:aa:00:02\tname=Bäckup\tghost=PCI\\B',
      'vmware-tools\t600\trun\tgood=1605\tcommand="%SystemRoot%\\System32\\msiexec.exe" /x {11111111-2222-3333-4444-555555555555} /qn /norestart REBOOT=ReallySuppress',
      'balloon-service\t60\trun\tcommand="%SystemRoot%\\Drivers\\VirtIO\\blnsvr.exe" -i',
      'guest-agent\t1200\trun\ttimes=10\tpause=60\tcommand="%SystemRoot%\\System32\\msiexec.exe" /i "%SystemRoot%\\Drivers\\VirtIO\\qemu-ga-x86_64.msi" /qn /norestart',
      'end',
      'restore-1\t30\tregistry\tkey=SYSTEM\\CurrentControlSet\\Control\\CrashControl\tname=AutoReboot\ttype=4\tdata=01000000',
      'restore-2\t30\tregistry\tkey=SYSTEM\\CurrentControlSet\\Services\\partmgr\\Parameters\tname=SanPolicy',
      'report\t30\treport\tport=\\\\.\\COM1',
      '',
    ]);
  });

  it('of Windows 7 trusts the signer once while drivers are installed, in the old way', () => {
    const lines = linesOf(facts({ drivers: DRIVERS }, { build: 7601, qemu_guest_agent: true }));
    const thumbprint = 'AB'.repeat(20);
    const key = `key=SOFTWARE\\Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates\\${thumbprint}`;
    const blob = `030000000100000014000000${'ab'.repeat(20)}200000000100000003000000444552`;
    expect(lines.slice(1, 3)).toEqual([
      `trust-1\t30\tregistry\t${key}\tname=Blob\ttype=3\tdata=${blob}`,
      'driver-netkvm\t300\trun\tgood=259\tcommand="%SystemRoot%\\System32\\pnputil.exe" -i -a "%SystemRoot%\\Drivers\\VirtIO\\netkvm.inf"',
    ]);
    expect(lines).toContain(`distrust-1\t30\tregistry\t${key}`);
    expect(lines.some((line) => line.startsWith('guest-agent'))).toBe(false);
    expect(lines.filter((line) => line.startsWith('trust'))).toHaveLength(1);
  });

  it('leaves a signer that Windows trusted before', () => {
    const path = `Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates\\${'ab'.repeat(20)}`;
    const software = hive('/s/SOFTWARE', [{ path, values: [] }]);
    const lines = linesOf(facts({ drivers: DRIVERS, software }, { build: 7601 }));
    expect(lines.filter((line) => line.includes('trust-'))).toEqual([]);
  });

  it('takes nothing from the guest that could become a line, a path or a command', () => {
    const hostile = adapter({
      mac: '00:50:56:aa:00:01',
      name: 'x"\n& del *',
      device: 'PCI\\\tghost',
      addresses: [
        { address: '10.0.0.5', prefix: 24 },
        { address: 'fe80::1%4', prefix: 64 },
      ],
      dns: ['10.0.0.53\t', '::ffff:10.0.0.1'],
      suffix: 'a&b',
    });
    const lines = linesOf(facts({ nics: [nic('00:50:56:aa:00:01')] }, { interfaces: [hostile] }));
    expect(lines[1]).toBe('network-005056aa0001\t900\tnetwork\tmac=00:50:56:aa:00:01\taddress=10.0.0.5/24');
  });

  it('has all of a card with hundreds of addresses, with the time for them', () => {
    const addresses = Array.from({ length: 400 }, (_, index) => ({
      address: `10.0.${index >> 8}.${index & 255}`,
      prefix: 16,
    }));
    const interfaces = [adapter({ mac: '00:50:56:aa:00:01', addresses })];
    const [, line = ''] = linesOf(facts({ nics: [nic('00:50:56:aa:00:01')] }, { interfaces }));
    expect(line.match(/\taddress=/g)).toHaveLength(400);
    expect(line.split('\t')[1]).toBe('2400');
  });

  it('names a step that is more than the program takes, and has the others', () => {
    const addresses = Array.from({ length: LIMITS.MAX_SECONDS / 6 + 1 }, (_, index) => ({
      address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
      prefix: 8,
    }));
    const before = { type: 3, data: '00'.repeat(LIMITS.MAX_VALUE_BYTES + 1) };
    const { steps, leftOut } = firstBootSteps(
      facts(
        {
          nics: [nic('00:50:56:aa:00:01')],
          restores: [{ key: 'Control\\CrashControl', name: 'AutoReboot', before }],
        },
        { interfaces: [adapter({ mac: '00:50:56:aa:00:01', addresses })] },
      ),
    );
    expect(leftOut).toEqual(['network-005056aa0001', 'restore-1']);
    expect(steps.map(({ id }) => id)).toEqual(['report']);
  });

  it('keeps to limits that are those of the program', () => {
    const header = new URL(
      '../../../../../src/families/windows/first-boot/program/limits.h',
      import.meta.url,
    );
    const numbers = [...readFileSync(header, 'utf8').matchAll(/^#define (MAX_\w+) (\d+)/gm)];
    expect(Object.fromEntries(numbers.map(([, name, number]) => [name, Number(number)]))).toEqual(LIMITS);
  });

  it('as a batch file has no line that cmd would cut', () => {
    const before = { type: 3, data: '00'.repeat(5000) };
    const restores = [{ key: 'Control\\CrashControl', name: 'AutoReboot', before }];
    const { text, leftOut } = commandFile(firstBootSteps(facts({ restores })).steps, 'state');
    expect(leftOut).toEqual(['restore-1']);
    expect(text).not.toContain('restore-1');
  });

  it('as a batch file has the same steps but for what needs a program, with the ends of lines of Windows', () => {
    const { steps } = firstBootSteps(
      facts(
        {
          drivers: DRIVERS,
          nics: [nic('00:50:56:aa:00:01')],
          restores: [
            { key: 'Control\\CrashControl', name: 'AutoReboot', before: { type: 4, data: '07000000' } },
          ],
        },
        {
          interfaces: [
            adapter({
              mac: '00:50:56:aa:00:01',
              name: '100 % LAN',
              addresses: [{ address: '10.0.0.5', prefix: 22 }],
              gateways: [{ address: '10.0.0.1', metric: null }],
            }),
          ],
        },
      ),
    );
    const { text, leftOut } = commandFile(steps, 'state-2');
    const lines = text.split('\r\n');
    expect(leftOut).toEqual(['rescan']);
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(lines.filter((line) => line.startsWith('call :try'))).toEqual(
      [
        'driver-netkvm',
        'driver-balloon',
        'network-005056aa0001',
        'balloon-service',
        'guest-agent',
        'restore-1',
        'report',
      ].map((id) => `call :try ${id}`),
    );
    for (const line of [
      'set STATE=state-2',
      'netsh interface ipv4 set address name="%CARD%" source=static address=10.0.0.5 mask=255.255.252.0 >>log.txt 2>&1',
      'netsh interface ipv4 add address name="%CARD%" gateway=10.0.0.1 gwmetric=0 >>log.txt 2>&1',
      'netsh interface set interface name="%CARD%" newname="100 %% LAN" >>log.txt 2>&1',
      'reg add "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl" /v "AutoReboot" /t REG_DWORD /d 7 /f >>log.txt 2>&1',
      'sc delete hyper2kvm-firstboot >>log.txt 2>&1',
    ])
      expect(lines).toContain(line);
  });

  it.each([
    ['10.0.0.1', '    IP Address:                           10.0.0.1', true],
    ['10.0.0.1', '    IP-Adresse:                           10.0.0.1  ', true],
    ['10.0.0.1', '    IP Address:                           10.0.0.10', false],
    ['10.0.0.1', '    IP Address:                           110.0.0.1', false],
    ['10.0.0.1', '    IP Address:                           10.0.011', false],
    ['10.0.0.1', '    Subnet Prefix:                        10.0.0.1/32 (mask 255.255.255.255)', false],
    ['fd00::5', 'Manual      Preferred      infinite   infinite fd00::5', true],
    ['fd00::5', 'Manual      Preferred      infinite   infinite fd00::51', false],
    ['fe80::1', 'Manual      Preferred      infinite   infinite fe80::1%4', true],
  ])('as a batch file looks for the whole of %s in %j: %s', (address, line, isFound) => {
    const addresses = [{ address, prefix: 24 }];
    const { steps } = firstBootSteps(
      facts(
        { nics: [nic('00:50:56:aa:00:01')] },
        { interfaces: [adapter({ mac: '00:50:56:aa:00:01', addresses })] },
      ),
    );
    const check = commandFile(steps, 'state')
      .text.split('\r\n')
      .find((text) => /^netsh.*show addresses/.test(text));
    // findstr's own signs that are used are those of a regular expression; cmd halves the sign of percent.
    const patterns = [...(check ?? '').matchAll(/\/c:"([^"]*)"/g)].map(
      ([, pattern = '']) => new RegExp(pattern.replaceAll('%%', '%'), 'i'),
    );
    expect(check).toMatch(/\| findstr \/i \/r /);
    expect(patterns.some((pattern) => pattern.test(line))).toBe(isFound);
  });
});

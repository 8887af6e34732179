import { isIPv6 } from 'node:net';
import { REG } from '../../../guest/registry/value.js';
import type { FirstBootAction, FirstBootStep, NetworkAction } from './step.js';

/**
 * The first boot as a batch file, for a Windows that starts no program of ours (Windows Defender Application
 * Control). It has no time limits, and lacks `leftOut`: steps that need a program, or a longer line than cmd reads.
 */
export interface CommandFile {
  text: string;
  leftOut: string[];
}

/** A longer line is cut by cmd. */
const MAX_LINE = 8191;

/** Returns firstboot.cmd for the steps of a plan. Pure. */
export function commandFile(steps: readonly FirstBootStep[], state: string): CommandFile {
  const parts = steps.map((step) => {
    const lines = linesOf(step.id, step.action);
    return { ...step, lines: lines?.every(({ length }) => length <= MAX_LINE) ? lines : null };
  });
  const done = parts.filter(({ lines }) => lines !== null);
  const calls = (last: boolean) =>
    done.filter((part) => part.last === last).map(({ id }) => `call :try ${id}`);
  const isAscii = done.every(({ lines }) => /^[\x20-\x7e]*$/.test(lines?.join('') ?? ''));
  const lines = [
    ...HEAD,
    `set STATE=${state}`,
    'if not exist %STATE% md %STATE%',
    ...(isAscii ? [] : ['chcp 65001 >nul']),
    ...calls(false),
    'if defined LATER goto :restart',
    ...calls(true),
    'sc delete hyper2kvm-firstboot >>log.txt 2>&1',
    'if not exist %STATE%\\PLAN.restart exit /b 0',
    ...TAIL,
    ...done.flatMap(({ id, lines }) => ['', `:${id}`, ...(lines ?? [])]),
    '',
  ];
  return {
    // cmd finds labels reliably only with its own ends of lines.
    text: lines.join('\r\n'),
    leftOut: parts.flatMap(({ id, lines }) => (lines === null ? [id] : [])),
  };
}

const HEAD = [
  '@echo off',
  'rem Carries out the first boot after a conversion to KVM, and deletes its service. The names of files in',
  'rem the state folder say what has happened: a step has two tries, then it is passed over.',
  'setlocal DisableDelayedExpansion',
  'cd /d "%~dp0"',
  'set LATER=',
];

const TAIL = [
  ':restart',
  'if exist %STATE%\\PLAN.restarted exit /b 0',
  'type nul >%STATE%\\PLAN.restarted',
  'shutdown /r /t 5 >>log.txt 2>&1',
  'exit /b 0',
  '',
  ':try',
  'if exist %STATE%\\%1.done exit /b 0',
  'if exist %STATE%\\%1.passed exit /b 0',
  'if exist %STATE%\\%1.try1 goto :second',
  'type nul >%STATE%\\%1.try1',
  'call :%1',
  'set CODE=%errorlevel%',
  'echo %1: exit code %CODE%>>log.txt',
  'if %CODE%==249 set LATER=yes',
  'if %CODE%==249 exit /b 0',
  'if %CODE%==0 goto :done',
  'if %CODE%==3010 goto :done',
  ':second',
  'if exist %STATE%\\%1.try2 goto :passed',
  'type nul >%STATE%\\%1.try2',
  'call :%1',
  'set CODE=%errorlevel%',
  'echo %1: exit code %CODE%>>log.txt',
  'if %CODE%==0 goto :done',
  'if %CODE%==3010 goto :done',
  ':passed',
  'type nul >%STATE%\\%1.passed',
  'exit /b 0',
  ':done',
  'if %CODE%==3010 type nul >%STATE%\\PLAN.restart',
  'type nul >%STATE%\\%1.done',
  'exit /b 0',
];

/** Returns the lines of a step; null if a batch file cannot do it. */
function linesOf(id: string, action: FirstBootAction): string[] | null {
  switch (action.verb) {
    case 'run':
      return runLines(id, action);
    case 'network':
      return networkLines(id, action);
    case 'registry':
      return registryLines(action);
    case 'report':
      return [`echo {"hyper2kvm_firstboot":{"done":null,"passed":null}}>${action.port}`, 'exit /b 0'];
    case 'disks':
    case 'rescan':
      return null;
  }
}

/** Of another program that was installed: done, and a restart has begun. */
const RESTART_BEGUN = 1641;

function runLines(id: string, { command, good, again }: Extract<FirstBootAction, { verb: 'run' }>): string[] {
  const accepted = [...good.map((code) => [code, 0]), [RESTART_BEGUN, 3010]];
  const judge = accepted.map(([code, as]) => `if %RESULT%==${code} exit /b ${as}`);
  const once = [`${command} >>log.txt 2>&1`, 'set RESULT=%errorlevel%', ...judge];
  if (again === null) return [...once, 'exit /b %RESULT%'];
  const stop = ['0', '3010', '249', '1641'].map((code) => `if %RESULT%==${code} exit /b %RESULT%`);
  return [
    'set TIMES=0',
    `:${id}-again`,
    ...once,
    ...stop,
    'set /a TIMES+=1',
    `if %TIMES% geq ${again.times} exit /b %RESULT%`,
    // `timeout` wants a console.
    `ping -n ${again.pause + 1} 127.0.0.1 >nul`,
    `goto :${id}-again`,
  ];
}

/** Where the registry has a card's addresses, by the GUID at the end of what getmac shows. */
const INTERFACES = 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces';
/** Seconds between two looks for the card, and how many. */
const PAUSE = 5;
const LOOKS = 36;

function networkLines(id: string, action: NetworkAction): string[] {
  const mac = action.mac.replaceAll(':', '-').toUpperCase();
  // Of "connection","adapter","address","transport" the quotes are the separators.
  const fields = 'tokens^=1^,5^,7^ delims^=^"';
  const checks = action.addresses.map(({ address }) => {
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    return `netsh interface ${family} show addresses | findstr /i /r ${patternsOf(address)} >nul || exit /b 1`;
  });
  return [
    'set LOOKS=0',
    `:${id}-look`,
    'set CARD=',
    `for /f ${fields} %%a in ('getmac /v /fo csv /nh') do if /i "%%b"=="${mac}" set "CARD=%%a"& set "PORT=%%c"`,
    `if defined CARD goto :${id}-found`,
    'set /a LOOKS+=1',
    `if %LOOKS% geq ${LOOKS} exit /b 1`,
    `ping -n ${PAUSE + 1} 127.0.0.1 >nul`,
    `goto :${id}-look`,
    `:${id}-found`,
    ...netshLines(action).map((line) => `netsh interface ${line} >>log.txt 2>&1`),
    ...(action.suffix === null
      ? []
      : [`reg add "${INTERFACES}\\%PORT:*_=%" /v Domain /t REG_SZ /d "${action.suffix}" /f >>log.txt 2>&1`]),
    ...(action.name === null
      ? []
      : [
          `netsh interface set interface name="%CARD%" newname="${action.name.replaceAll('%', '%%')}" >>log.txt 2>&1`,
        ]),
    ...checks,
    'exit /b 0',
  ];
}

/** netsh shows an address at the end of a line, or before the zone of IPv6: 10.0.0.1 is not 10.0.0.10. */
function patternsOf(address: string): string {
  const pattern = address.replaceAll('.', '\\.');
  return `/c:" ${pattern} *$"${isIPv6(address) ? ` /c:" ${pattern}%%"` : ''}`;
}

const ANY = 'name="%CARD%"';

function netshLines({ addresses, gateways, dns }: NetworkAction): string[] {
  const ipv4 = addresses.filter(({ address }) => !isIPv6(address));
  const ipv6 = addresses.filter(({ address }) => isIPv6(address));
  return [
    ...ipv4.map(({ address, prefix }, index) =>
      index === 0
        ? `ipv4 set address ${ANY} source=static address=${address} mask=${maskOf(prefix)}`
        : `ipv4 add address ${ANY} address=${address} mask=${maskOf(prefix)}`,
    ),
    ...ipv6.map(
      ({ address, prefix }) =>
        `ipv6 add address interface="%CARD%" address=${address}/${prefix} store=persistent`,
    ),
    ...gateways.map(
      ({ address, metric }) => `ipv4 add address ${ANY} gateway=${address} gwmetric=${metric ?? 0}`,
    ),
    ...['ipv4', 'ipv6'].flatMap((family) =>
      dns
        .filter((address) => isIPv6(address) === (family === 'ipv6'))
        .map((address, index) =>
          index === 0
            ? `${family} set dnsservers ${ANY} source=static address=${address} register=primary validate=no`
            : `${family} add dnsservers ${ANY} address=${address} index=${index + 1} validate=no`,
        ),
    ),
  ];
}

const maskOf = (prefix: number): string =>
  [0, 8, 16, 24].map((from) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefix - from)))).join('.');

function registryLines({
  key,
  name,
  value,
}: Extract<FirstBootAction, { verb: 'registry' }>): string[] | null {
  const path = `"HKLM\\${key}"`;
  if (name === null) return [`reg delete ${path} /f >>log.txt 2>&1`, 'exit /b 0'];
  if (value === null) return [`reg delete ${path} /v "${name}" /f >>log.txt 2>&1`, 'exit /b 0'];
  const data = Buffer.from(value.data, 'hex');
  const isNumber = value.type === REG.dword && data.length === 4;
  // Text could hold what cmd takes for commands.
  if (!isNumber && value.type !== REG.binary) return null;
  const what = isNumber ? `REG_DWORD /d ${data.readUInt32LE()}` : `REG_BINARY /d ${value.data}`;
  return [`reg add ${path} /v "${name}" /t ${what} /f >>log.txt 2>&1`, 'exit /b %errorlevel%'];
}

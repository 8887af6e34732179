import { type CapturedHive, capturedKey } from '../../../guest/registry/captured.js';
import { REG } from '../../../guest/registry/value.js';
import type { DriverFile, DriverPackage, DriverSet } from '../../../model/driver-set.js';
import type { FirstBootStep } from './step.js';

/** From here on pnputil has /add-driver (Windows 10 1607, Server 2016). */
const ADD_DRIVER = 14_393;
/** Windows 10 installs a driver whose signer leads to Microsoft without asking whom it trusts. */
const NO_QUESTION = 10_240;
const PNPUTIL = '"%SystemRoot%\\System32\\pnputil.exe"';
/** No device has the driver (ERROR_NO_MORE_ITEMS), or the newest one is in use already. */
const NOTHING_TO_INSTALL = 259;
const TRUSTED = 'SOFTWARE\\Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates';

/** Returns the steps that install the drivers, one for each package. Pure. */
export function driverSteps({ packages }: DriverSet, build: number, software: CapturedHive): FirstBootStep[] {
  const signers = build < NO_QUESTION ? newSigners(packages, software) : [];
  const trust = signers.map(({ thumbprint, certificate }, index) =>
    trustStep(`trust-${index + 1}`, false, thumbprint, {
      type: REG.binary,
      data: trustBlob(thumbprint, certificate),
    }),
  );
  const distrust = signers.map(({ thumbprint }, index) =>
    trustStep(`distrust-${index + 1}`, true, thumbprint, null),
  );
  const install = packages.flatMap(({ name, inf, files }) => {
    const path = pathOf(files, inf);
    return path === null ? [] : [pnputilStep(`driver-${name}`, path, build)];
  });
  if (install.length === 0) return [];
  const rescan: FirstBootStep = { id: 'rescan', seconds: 180, last: false, action: { verb: 'rescan' } };
  return [...trust, ...install, rescan, ...distrust];
}

/** Returns the steps for programs that come with the drivers: the memory balloon's service and the agent. */
export function companionSteps({ packages, guestAgent }: DriverSet, hasAgent: boolean): FirstBootStep[] {
  const steps: FirstBootStep[] = [];
  const balloon = packages.find(({ name }) => name === 'balloon');
  const service = balloon === undefined ? null : pathOf(balloon.files, 'blnsvr.exe');
  if (service !== null) steps.push(runStep('balloon-service', 60, `"${service}" -i`));
  const [agent] = guestAgent?.destinations ?? [];
  if (agent === undefined || hasAgent) return steps;
  const command = `"%SystemRoot%\\System32\\msiexec.exe" /i "${inWindows(agent)}" /qn /norestart`;
  const step = runStep('guest-agent', 1_200, command);
  // The Windows Installer does one thing at a time, and Windows Update may keep it busy.
  return [...steps, { ...step, action: { ...step.action, again: { times: 10, pause: 60 } } }];
}

function runStep(id: string, seconds: number, command: string, good: number[] = []) {
  return { id, seconds, last: false, action: { verb: 'run' as const, command, good, again: null } };
}

function pnputilStep(id: string, path: string, build: number): FirstBootStep {
  const command =
    build < ADD_DRIVER ? `${PNPUTIL} -i -a "${path}"` : `${PNPUTIL} /add-driver "${path}" /install`;
  return runStep(id, 300, command, [NOTHING_TO_INSTALL]);
}

/** Returns the path of the file called `name`, in lower case, among those that a package brings; null without. */
function pathOf(files: readonly DriverFile[], name: string): string | null {
  const path = files
    .flatMap(({ destinations }) => destinations)
    .find((destination) => destination.toLowerCase().endsWith(`\\${name}`));
  return path === undefined ? null : inWindows(path);
}

/** The path as Windows itself finds it: the directory of Windows may have another name (`\WINNT`). */
const inWindows = (path: string): string => path.replace(/^\\Windows(?=\\)/i, '%SystemRoot%');

type Signer = NonNullable<DriverPackage['signer']>;

/** Returns each signer that the guest does not trust already. */
function newSigners(packages: readonly DriverPackage[], software: CapturedHive): Signer[] {
  const signers = new Map<string, Signer>();
  for (const { signer } of packages)
    if (signer !== null) signers.set(signer.thumbprint.toUpperCase(), signer);
  const known = (thumbprint: string) =>
    capturedKey(software, `${TRUSTED.slice('SOFTWARE\\'.length)}\\${thumbprint}`) !== null;
  return [...signers.values()].filter(({ thumbprint }) => !known(thumbprint));
}

function trustStep(
  id: string,
  last: boolean,
  thumbprint: string,
  value: { type: number; data: string } | null,
): FirstBootStep {
  const key = `${TRUSTED}\\${thumbprint.toUpperCase()}`;
  const name = value === null ? null : 'Blob';
  return { id, seconds: 30, last, action: { verb: 'registry', key, name, value } };
}

/** CERT_SHA1_HASH_PROP_ID, and the certificate itself (CERT_CERT_PROP_ID). */
const SHA1_HASH = 3;
const CERTIFICATE = 32;

/** Returns a certificate as the registry's stores have it: properties with number, 1, and length. */
function trustBlob(thumbprint: string, certificate: string): string {
  const property = (id: number, data: Buffer) => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(id, 0);
    head.writeUInt32LE(1, 4);
    head.writeUInt32LE(data.length, 8);
    return Buffer.concat([head, data]);
  };
  return Buffer.concat([
    property(SHA1_HASH, Buffer.from(thumbprint, 'hex')),
    property(CERTIFICATE, Buffer.from(certificate, 'base64')),
  ]).toString('hex');
}

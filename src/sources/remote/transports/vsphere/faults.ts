import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import type { ErrorCode } from '../../../../errors/catalogue.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';

/** What a fault of the vSphere API means for a fetch. Faults that are not here are `remote.interrupted`. */
const MEANINGS: Readonly<Record<string, { code: ErrorCode; retryable?: true }>> = {
  InvalidLogin: { code: 'remote.auth' },
  InvalidLocale: { code: 'remote.auth' },
  PasswordExpired: { code: 'remote.auth' },
  NoClientCertificate: { code: 'remote.auth' },
  NotAuthenticated: { code: 'remote.auth' },
  NoPermission: { code: 'remote.permission' },
  SecurityError: { code: 'remote.permission' },
  RestrictedVersion: { code: 'remote.license' },
  RestrictedByAdministrator: { code: 'remote.license' },
  LicenseExpired: { code: 'remote.license' },
  ManagedObjectNotFound: { code: 'remote.not-found' },
  NotFound: { code: 'remote.not-found' },
  InvalidPowerState: { code: 'remote.powered-on' },
  ToolsUnavailable: { code: 'remote.powered-on' },
  FileLocked: { code: 'remote.locked', retryable: true },
  ResourceInUse: { code: 'remote.locked', retryable: true },
  TaskInProgress: { code: 'remote.locked', retryable: true },
  ConcurrentAccess: { code: 'remote.locked', retryable: true },
  HostNotConnected: { code: 'remote.unreachable', retryable: true },
  HostNotReachable: { code: 'remote.unreachable', retryable: true },
  HostCommunication: { code: 'remote.unreachable', retryable: true },
  Timedout: { code: 'remote.timeout', retryable: true },
  SessionLimitExceeded: { code: 'remote.busy', retryable: true },
  InsufficientResourcesFault: { code: 'remote.busy', retryable: true },
  InaccessibleDatastore: { code: 'remote.datastore-unreadable' },
  InvalidDatastore: { code: 'remote.datastore-unreadable' },
};

function meaningOf(fault: string): { code: ErrorCode; retryable?: true } {
  const known = Object.hasOwn(MEANINGS, fault) ? MEANINGS[fault] : undefined;
  return known ?? { code: 'remote.interrupted', retryable: true };
}

/** A fault, with its type so that a caller can decide by it. */
export class VsphereFault extends Hyper2kvmError {
  /** `NotAuthenticated`, as the API calls it. */
  readonly fault: string;

  constructor(fault: string, message: string) {
    const { code, retryable = false } = meaningOf(fault);
    super(code, message, { retryable });
    this.fault = fault;
  }
}

/**
 * Turns the element of a `Fault` of SOAP, or a `fault` of a property that could not be read, into an error.
 * `where` is the server and the method.
 */
export function faultOf(element: XmlElement, where: string): VsphereFault {
  const detail = childrenNamed(element, 'detail')[0]?.children[0] ?? element;
  const fault = detail.attributes.get('type')?.split(':').at(-1) ?? detail.name.replace(/Fault$/, '');
  const [text] = [
    ...childrenNamed(element, 'faultstring'),
    ...childrenNamed(element, 'localizedMessage'),
  ].map((found) => found.text);
  const [privilege] = childrenNamed(detail, 'privilegeId').map((found) => found.text);
  const said = [
    printable(fault, 80),
    ...(text === undefined || text === '' ? [] : [`“${printable(text)}”`]),
    ...(privilege === undefined || privilege === ''
      ? []
      : [`the privilege ${printable(privilege, 80)} is missing`]),
  ];
  return new VsphereFault(fault, `${where}: ${said.join(', ')}`);
}

/** The same for a `LocalizedMethodFault`: the fault is one level deeper than in a `Fault` of SOAP. */
export function faultOfLocalized(element: XmlElement, where: string): VsphereFault {
  const children = element.children.map((child) =>
    child.name === 'fault' ? { name: 'detail', attributes: new Map(), children: [child], text: '' } : child,
  );
  return faultOf({ ...element, children }, where);
}

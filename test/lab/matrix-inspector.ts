import { parseXml, type XmlElement } from '#hyper2kvm/disk/ovf/xml.js';
import type { LinuxIdentity } from '#hyper2kvm/model/identity.js';
import { run } from '#hyper2kvm/tools/run.js';
import type { BuiltGuest } from './guest.ts';
import { keyOf, membersOf } from './layout.ts';

/** One operating system, as libguestfs' own inspection (virt-inspector(1)) sees it. */
export interface InspectedSystem {
  distro: string;
  majorVersion: string;
  architecture: string;
  hostname: string;
  packageManagement: string;
  /** Mount points by device. */
  mounts: { device: string; mountpoint: string }[];
  filesystems: { device: string; type: string; uuid: string }[];
}

const LIMIT_SECONDS = 900;

/** What libguestfs says of the guest's disks. */
export async function inspectWithLibguestfs({ recipe, images }: BuiltGuest): Promise<InspectedSystem[]> {
  const keys = (recipe.volumes ?? [])
    .filter(({ kind }) => kind === 'luks')
    .flatMap((volume) => ['--key', `${membersOf(recipe, volume)[0]}:key:${keyOf(recipe, volume)}`]);
  const disks = images.flatMap((image) => ['-a', image]);
  const args = ['--format=raw', ...disks, ...keys, '--no-applications', '--no-icon'];
  const { stdout } = await run('virt-inspector', args, {
    timeoutSeconds: LIMIT_SECONDS,
    env: { LIBGUESTFS_BACKEND: 'direct', LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' },
  });
  return systemsOf(stdout);
}

/** Pure. */
export function systemsOf(xml: Buffer): InspectedSystem[] {
  return all(parseXml(xml), 'operatingsystem').map((system) => ({
    distro: text(system, 'distro'),
    majorVersion: text(system, 'major_version'),
    architecture: text(system, 'arch'),
    hostname: text(system, 'hostname'),
    packageManagement: text(system, 'package_management'),
    mounts: all(system, 'mountpoint').map((element) => ({
      device: element.attributes.get('dev') ?? '',
      mountpoint: element.text,
    })),
    filesystems: all(system, 'filesystem').map((element) => ({
      device: element.attributes.get('dev') ?? '',
      type: text(element, 'type'),
      uuid: text(element, 'uuid'),
    })),
  }));
}

/**
 * Where libguestfs says otherwise than INSPECT, one sentence each. Filesystems are held together by UUID: the
 * two name volumes differently. Pure.
 */
export function inspectorDifferences(identity: LinuxIdentity, systems: readonly InspectedSystem[]): string[] {
  const [system, ...others] = systems;
  if (system === undefined) return ['virt-inspector finds no operating system'];
  const fields: [string, string, string][] = [
    ['distribution', identity.os_distro, system.distro],
    ['version', identity.os_version.split('.')[0] ?? '', system.majorVersion],
    ['architecture', identity.architecture, system.architecture],
    ['host name', identity.hostname, system.hostname],
    ['package manager', identity.package_manager, system.packageManagement],
  ];
  const uuids = new Map(system.filesystems.map(({ device, uuid }) => [device, uuid]));
  const mounted = identity.filesystems.filter(
    ({ uuid, mountpoint }) => uuid !== null && mountpoint?.startsWith('/'),
  );
  const theirs = (mountpoint: string | null) =>
    uuids.get(system.mounts.find((mount) => mount.mountpoint === mountpoint)?.device ?? '') ?? '';
  const unresolved = mounted.filter(({ mountpoint }) => theirs(mountpoint) === '');
  const elsewhere = mounted
    .filter(({ uuid, mountpoint }) => theirs(mountpoint) !== '' && theirs(mountpoint) !== uuid)
    .map(({ uuid, mountpoint }): [string, string, string] => [`at ${mountpoint}`, uuid!, theirs(mountpoint)]);
  const types = new Map(system.filesystems.map(({ uuid, type }) => [uuid, type]));
  const typeFields = identity.filesystems
    .filter(({ uuid }) => uuid !== null && types.has(uuid))
    .map(({ uuid, type }): [string, string, string] => [`type of ${uuid}`, type, types.get(uuid!) ?? '']);
  return [
    ...(others.length === 0 ? [] : [`virt-inspector finds ${systems.length} systems, INSPECT one`]),
    ...(unresolved.length === 0
      ? []
      : [
          `virt-inspector cannot tell what fstab mounts at ${unresolved
            .map(({ mountpoint }) => mountpoint)
            .sort()
            .join(' ')}`,
        ]),
    ...[...fields, ...elsewhere, ...typeFields]
      .filter(([, ours, theirs]) => ours !== theirs)
      .map(([what, ours, theirs]) => `${what}: “${ours}”; virt-inspector: “${theirs}”`),
  ];
}

const text = (element: XmlElement, name: string) => all(element, name)[0]?.text ?? '';

function all(element: XmlElement, name: string): XmlElement[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...all(child, name)]);
}

import { createHash } from 'node:crypto';
import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { RemoteFile } from '../base/transport.js';
import { NfcExport, SILENT_SECONDS } from './nfc-export.js';
import { longestStream } from './nfc-stream.js';
import { retrieve } from './properties.js';
import { type Session, textOf } from './session.js';
import type { MoRef } from './soap-client.js';
import type { VmDisk, VmFacts } from './vm-facts.js';
import { descriptionFile } from './vm-files.js';

/** The files of a VM that is exported: its description, and one stream a disk. */
export interface ExportedVm {
  files: RemoteFile[];
  export: NfcExport;
}

type Settings = Omit<ConstructorParameters<typeof NfcExport>[2], 'expected'> & { signal: AbortSignal };

/**
 * Describes the disks of a VM as streams. Nothing is begun on the server: the export begins when the first disk is
 * read, and does not when all are landed already.
 */
export async function exportedVm(
  session: Session,
  self: MoRef,
  vm: VmFacts,
  { signal, ...settings }: Settings,
): Promise<ExportedVm> {
  const [layout] = await retrieve(session, [self], ['layoutEx'], signal);
  const sizeOf = (disk: VmDisk) => estimateOf(disk, layout?.properties.get('layoutEx'));
  const expected = vm.disks.reduce((sum, disk) => sum + sizeOf(disk), 0);
  const source = new NfcExport(session, self, { ...settings, expected });
  const disks = vm.disks.map(
    (disk): RemoteFile => ({
      name: streamName(disk.slot),
      size: sizeOf(disk),
      isEstimate: true,
      validator: validatorOf(disk, vm),
      hasRanges: false,
      data: null,
      origin: `${settings.base.host}: ${printable(disk.label, 80)}`,
      stepSeconds: SILENT_SECONDS,
      read: (_range, during) => source.read(disk, during),
    }),
  );
  return { files: [descriptionFile(vm, streamName), ...disks], export: source };
}

/** `scsi0-1.vmdk`: each disk has an address of its own, and perhaps not a name. */
function streamName(slot: string): string {
  return `${slot.replace(':', '-')}.vmdk`;
}

/**
 * The streams of two exports have the same content if the disk has, though not the same bytes: the VM’s state and the
 * disk’s, whose chain is another one after each snapshot. Null if the server tells neither.
 */
function validatorOf({ chain, contentId, capacity }: VmDisk, { changeVersion }: VmFacts): string | null {
  if (changeVersion === null) return null;
  const state = createHash('sha256')
    .update(JSON.stringify([chain, contentId, capacity]))
    .digest('hex');
  return `nfc ${changeVersion} ${state}`;
}

/** About as long as what the files of the disk’s chain occupy: the stream has no zeros, and is compressed. */
function estimateOf({ key, capacity }: VmDisk, layout: XmlElement | undefined): number {
  const most = longestStream(capacity!);
  const own = childrenNamed(layout, 'disk').find((disk) => textOf(disk, 'key') === key);
  const keys = childrenNamed(own, 'chain').flatMap((unit) =>
    childrenNamed(unit, 'fileKey').map(({ text }) => text),
  );
  const sizes = childrenNamed(layout, 'file')
    .filter((file) => keys.includes(textOf(file, 'key') ?? ''))
    .map((file) => Number(textOf(file, 'size') ?? Number.NaN));
  const occupied = sizes.reduce((sum, size) => sum + size, 0);
  return sizes.length > 0 && Number.isSafeInteger(occupied) && occupied > 0
    ? Math.min(most, longestStream(occupied))
    : most;
}

import { type CapturedHive, capturedKey } from '../../../guest/registry/captured.js';
import { guidText } from '../../../text/guid.js';
import type { FirstBootStep } from './step.js';

const LETTER = /^\\DosDevices\\[A-Z]:$/i;
/** Signature of the disk and offset of the partition. */
const MBR_BYTES = 12;
const GPT_MARK = Buffer.from('DMIO:ID:');
const GPT_BYTES = 24;

/**
 * Returns the step that brings the disks online that have a drive letter in MountedDevices; none without
 * such. Pure.
 */
export function diskSteps(system: CapturedHive): FirstBootStep[] {
  const mbr = new Set<string>();
  const gpt = new Set<string>();
  for (const { name, data } of capturedKey(system, 'MountedDevices')?.values ?? []) {
    const bytes = Buffer.from(data, 'hex');
    if (!LETTER.test(name)) continue;
    if (bytes.length === MBR_BYTES) mbr.add(bytes.readUInt32LE(0).toString(16).padStart(8, '0'));
    if (bytes.length === GPT_BYTES && bytes.subarray(0, GPT_MARK.length).equals(GPT_MARK))
      gpt.add(guidText(bytes, GPT_MARK.length));
  }
  if (mbr.size + gpt.size === 0) return [];
  return [
    {
      id: 'disks',
      seconds: 120,
      last: false,
      action: { verb: 'disks', mbr: [...mbr].sort(), gpt: [...gpt].sort() },
    },
  ];
}

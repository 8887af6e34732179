import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { isJournalClean, isVolumeDirty, LOG_HEAD_BYTES, MFT_HEAD_BYTES } from '../../../guest/ntfs.js';

/** How the root volume was left; null where it cannot be told. */
export interface VolumeState {
  dirty: boolean | null;
  journalClean: boolean | null;
}

const UNKNOWN: VolumeState = { dirty: null, journalClean: null };

/**
 * Reads the state of an NTFS volume from its own files, which are shown by an option of ntfs-3g alone. Nothing
 * may be mounted.
 */
export async function volumeState(reader: GuestReader, device: string): Promise<VolumeState> {
  try {
    await reader.mount({ device, mountpoint: '/', options: 'show_sys_files' }, 'ro');
    return {
      dirty: isVolumeDirty(await reader.readAt('/$MFT', 0, MFT_HEAD_BYTES)),
      journalClean: isJournalClean(await reader.readAt('/$LogFile', 0, LOG_HEAD_BYTES)),
    };
  } catch (error) {
    refusal(error);
    return UNKNOWN;
  } finally {
    await reader.unmountAll();
  }
}

import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { isJournalClean, isVolumeDirty, LOG_HEAD_BYTES, MFT_HEAD_BYTES } from '../../../guest/ntfs.js';
import type { WindowsIdentity } from '../../../model/identity.js';

export type VolumeState = WindowsIdentity['volumes'][number];

/**
 * Reads the state of an NTFS volume from its own files, which are shown by an option of ntfs-3g alone, and its free
 * space. Nothing may be mounted.
 */
export async function volumeState(reader: GuestReader, device: string): Promise<VolumeState> {
  let free: number | null = null;
  try {
    await reader.mount({ device, mountpoint: '/', options: 'show_sys_files' }, 'ro');
    free = await reader.free('/');
    return {
      device,
      dirty: isVolumeDirty(await reader.readAt('/$MFT', 0, MFT_HEAD_BYTES)),
      journal_clean: isJournalClean(await reader.readAt('/$LogFile', 0, LOG_HEAD_BYTES)),
      free,
    };
  } catch (error) {
    refusal(error);
    return { device, dirty: null, journal_clean: null, free };
  } finally {
    await reader.unmountAll();
  }
}

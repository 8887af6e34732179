import type { BlockDevices } from '../access/block-devices.js';
import { refusal } from '../access/tolerate.js';
import { Hyper2kvmError } from '../errors/error.js';
import { unescapeTag } from '../guest/blkid-tag.js';
import { inScript } from './disk-names.js';
import type { ApplianceSession } from './session.js';

/**
 * Returns the disks of the appliance, and what it assembled from them automatically: arrays and logical
 * volumes.
 */
export function applianceDevices(session: Pick<ApplianceSession, 'call'>): BlockDevices {
  const shell = (script: string) => session.call('debug', 'sh', [script]);
  return {
    disks: () => session.call('list_devices'),
    partitions: () => session.call('list_partitions'),
    size: (device) => session.call('blockdev_getsize64', device),
    async probe(device) {
      try {
        return Object.fromEntries(
          Object.entries(await session.call('blkid', device)).map(([tag, value]) => [
            tag,
            unescapeTag(value),
          ]),
        );
      } catch (error) {
        // blkid fails if it recognises nothing (an empty partition), which is a valid answer.
        refusal(error);
        return {};
      }
    },
    links: async () => [],
    arrays: () => session.call('list_md_devices'),
    async array(device) {
      const { uuid = '', name = '' } = await session.call('md_detail', device);
      return { uuid, name };
    },
    volumes: () => session.call('lvs'),
    async volumeRecords() {
      const fields = 'vg_name,lv_name,vg_uuid,lv_uuid,origin';
      const text = await shell(`lvm lvs --noheadings --separator "|" -o ${fields}`);
      const lines = text.split('\n').map((line) => line.trim().split('|'));
      return lines.flatMap(([group = '', volume, groupUuid, uuid, origin = '']) =>
        volume === undefined || groupUuid === undefined || uuid === undefined
          ? []
          : [
              {
                ...{ device: `/dev/${group}/${volume}`, group, groupUuid, uuid },
                origin: origin === '' ? null : `/dev/${group}/${origin}`,
              },
            ],
      );
    },
    activateVolumes: () => session.call('vg_activate_all', true),
    // ntfs-3g empties a journal when it mounts a volume for writing, too, but does not mark the volume.
    dropNtfsJournal: (device) => session.call('ntfsfix', device),
    async openLuks(device, name, keys) {
      try {
        await shell(openScript(device, name, keys));
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        // The script contains the keys, so an error that quotes it is not shown.
        const isQuoted = text.includes(PRINT);
        if (!isQuoted) refusal(error);
        const reason = isQuoted ? 'cryptsetup refused the key' : (text.trim().split('\n').at(-1) ?? '');
        throw new Hyper2kvmError('guest.call-failed', reason);
      }
    },
  };
}

const PRINT = 'printf %s';

/**
 * Opens the container by the appliance's shell: the API's own call takes the key as a C string, and most key
 * files contain NUL bytes.
 */
function openScript(device: string, name: string, keys: readonly Buffer[]): string {
  const attempts = keys.map(
    (key) =>
      `${PRINT} '${key.toString('base64')}' | base64 -d | cryptsetup open --key-file - ${inScript(device)} '${name}'`,
  );
  return `test -e '/dev/mapper/${name}' || { modprobe dm_crypt; ${attempts.join(' || ')}; } && udevadm settle`;
}

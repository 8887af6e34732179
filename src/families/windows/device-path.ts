import { capturedText, capturedValue } from '../../guest/registry/captured.js';
import { textData } from '../../guest/registry/make-value.js';
import { upperCase } from '../../guest/registry/names.js';
import { REG } from '../../guest/registry/value.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Fixer } from '../base/fixer.js';
import { changeHive, hiveOf, setValue } from './registry-edits.js';

const NAME = 'device-path';
const KEY = 'Microsoft\\Windows\\CurrentVersion';
/** Where the drivers are put. */
const DIRECTORY = '%SystemRoot%\\Drivers\\VirtIO';
const DEFAULT = '%SystemRoot%\\inf';

export const devicePath: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'The directory with virtio’s drivers (%SystemRoot%\\Drivers\\VirtIO) is added once to the places where Windows looks for drivers of new devices (DevicePath). What is there stays.',
  plan(guest) {
    const software = hiveOf(guest, 'SOFTWARE');
    const text = capturedText(capturedValue(software, KEY, 'DevicePath')) ?? DEFAULT;
    const places = text.split(';').filter((place) => place !== '');
    if (places.some((place) => upperCase(place.trim()) === upperCase(DIRECTORY)))
      return { operations: [], warnings: [] };
    const after = textData([...places, DIRECTORY].join(';'), REG.expandSz);
    const reason = 'Windows finds virtio’s drivers there';
    const changes = setValue(software, KEY, 'DevicePath', after);
    return { operations: changeHive(software, { fixer: NAME, reason }, changes), warnings: [] };
  },
};

import type { ValueData } from '../../../guest/registry/make-value.js';
import { dwordData, textData } from '../../../guest/registry/make-value.js';
import { REG } from '../../../guest/registry/value.js';

/** The service's key below `ControlSetNNN\Services`. */
export const FIRST_BOOT_SERVICE = 'hyper2kvm-firstboot';
/** Its files. */
export const FIRST_BOOT_DIRECTORY = '%ProgramFiles%\\hyper2kvm\\firstboot';
const CMD = '"%SystemRoot%\\System32\\cmd.exe"';

/**
 * How the service is started. The service manager gives up on a batch file after 30 s, since it does not
 * answer, so that one is started on the side.
 */
const COMMANDS = {
  program: `"${FIRST_BOOT_DIRECTORY}\\h2kfirst.exe"`,
  batch: `${CMD} /c start "" ${CMD} /d /c ""${FIRST_BOOT_DIRECTORY}\\firstboot.cmd""`,
} as const;

/** Returns the values of the service's key, by name. Pure. */
export function firstBootService(form: keyof typeof COMMANDS): Record<string, ValueData> {
  return {
    // A process of its own that starts with Windows; if it fails, nobody is told.
    Type: dwordData(0x10),
    Start: dwordData(2),
    ErrorControl: dwordData(0),
    ImagePath: textData(COMMANDS[form], REG.expandSz),
    ObjectName: textData('LocalSystem'),
    DisplayName: textData('hyper2kvm first boot'),
    Description: textData('Installs drivers and network settings once after a conversion to KVM.'),
  };
}

import type { InfService } from '../../../guest/inf/services.js';
import type { DriverService } from '../../../model/driver-set.js';

/** Directories of an INF's numbers, from the Windows directory. The driver store counts as `drivers`. */
const DIRECTORIES: Readonly<Record<number, string>> = {
  10: '',
  11: 'system32\\',
  12: 'system32\\drivers\\',
  13: 'system32\\drivers\\',
};

/** Returns a service of an INF as plain data. */
export function serviceOf({ binary, registry, ...service }: InfService): DriverService {
  return {
    ...service,
    imagePath: `${DIRECTORIES[binary.directory] ?? ''}${binary.path}`,
    values: registry
      // HKR is the service's key.
      .filter(({ root, mode }) => root === 'HKR' && mode !== 'delete')
      .map(({ key, name, type, data }) => ({ key, name, type, data: data.toString('hex') })),
  };
}

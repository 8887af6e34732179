import type { WindowsPaths } from './paths.js';

/** Where the boot manager looks for code integrity policies, beside the directory of Windows. */
export const ESP_POLICIES = '/EFI/Microsoft/Boot';
/** The place of those that Windows has several of, and the name of the only one that it had before. */
const ACTIVE = 'CiPolicies/Active';
const ONLY = 'SiPolicy.p7b';

/** Returns the paths of the active code integrity policies below `directory`. */
export async function codePolicies(paths: WindowsPaths, directory: string): Promise<string[]> {
  const several = await paths.find(`${directory}/${ACTIVE}`);
  const names = several === null ? [] : await paths.list(several);
  const only = await paths.find(`${directory}/${ONLY}`);
  return [
    ...names.filter((name) => /\.cip$/i.test(name)).map((name) => `${several}/${name}`),
    ...(only === null ? [] : [only]),
  ];
}

import type { Land } from './remote-source.js';

/** Lands a VM in this process, which has the network: `convert`, `inspect`, `plan`. */
export const landHere: Land = async (spec, context) => {
  // Loaded only when used: most jobs fetch nothing.
  const { landVm } = await import('./land-vm.js');
  return landVm(spec, { ...context, config: context.options.config });
};

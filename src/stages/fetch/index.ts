import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { refuseHoles } from '../../disk/compression.js';
import type { Stage } from '../../engine/stage.js';
import type { Hardware } from '../../model/hardware.js';
import { bytesOf, type Chain } from '../../model/storage.js';
import { printable } from '../../text/escape-terminal.js';
import { type FetchOutput, fetchOutput } from './output.js';

const fetchInput = z.object({});

/** Opens the job's source, which finds the VM's disks and refuses what is unsafe or incomplete. */
export const fetchStage: Stage<z.infer<typeof fetchInput>, FetchOutput> = {
  name: 'fetch',
  version: 4,
  input: fetchInput,
  output: fetchOutput,
  dependsOn: ({ kind, vm, source, config }) => ({
    kind,
    vm,
    source,
    depth: config.flatten.max_chain_depth,
  }),
  async run(context) {
    const { options } = context;
    const { hardware, disks, files, passedOver, warnings, remote } = await context.openSource();
    for (const { chain } of disks) refuseRawHoles(chain, options);
    for (const { code, message } of warnings) context.log.warn({ code, detail: message }, 'source warning');
    const facts = { disks: disks.length, files: files.length, passed_over: passedOver.length };
    context.log.info(facts, 'source opened');
    return {
      files,
      disks: disks.map((disk, index) => ({ index, ...disk })),
      hardware: withOptions(hardware, options),
      passed_over: passedOver,
      warnings,
      ...(remote === undefined ? {} : { remote }),
    };
  },
  files: ({ disks }) =>
    disks
      .flatMap(({ chain }) => bytesOf(chain))
      .flatMap(({ place, path }) => (place === 'work' ? [path] : [])),
};

/** Refuses too many zeros in a raw disk, which are all hashed when it is delivered. */
function refuseRawHoles({ layers }: Chain, { config }: JobOptions): void {
  const allocated = layers.map((layer) => layer.allocated);
  if (config.convert.format !== 'raw' || allocated.includes(null)) return;
  const data = allocated.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
  const [newest] = layers as [Chain['layers'][number]];
  const holes = Math.max(0, newest.virtual_size - data);
  refuseHoles(`${printable(newest.name)} as a raw disk`, holes, data, config.fetch.max_expansion);
}

/** Applies the job.toml, which takes precedence over the VM's own description. */
function withOptions(hardware: Hardware, { vm }: JobOptions): Hardware {
  return {
    ...hardware,
    name: vm.name ?? hardware.name,
    memory_mib: vm.memory ?? hardware.memory_mib,
    vcpus: vm.vcpus ?? hardware.vcpus,
    firmware: vm.firmware ?? hardware.firmware,
  };
}

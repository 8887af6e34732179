import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Source } from '../../../src/sources/base/source.js';

const spec = z.object({ sectors: z.int().min(1), fill: z.int() });

/**
 * A source whose bytes are made up: a raw disk of `sectors` that are all `fill`. `closed` gets how each
 * opening ended.
 */
export function dummySource(closed: string[]): Source<z.infer<typeof spec>> {
  return {
    type: 'dummy',
    spec,
    contentId: async ({ sectors, fill }) => `dummy-${sectors}-${fill}`,
    async open({ sectors, fill }, { workDirectory }) {
      const size = sectors * 512;
      await writeFile(join(workDirectory, 'landed.raw'), Buffer.alloc(size, fill));
      return {
        hardware: { name: 'made', memory_mib: 64, vcpus: 1, firmware: null, nics: [], os_hint: null },
        disks: [
          {
            controller: null,
            chain: {
              layers: [
                {
                  name: 'made up',
                  format: 'raw',
                  virtual_size: size,
                  content_id: null,
                  bytes: { type: 'file', place: 'work', path: 'landed.raw' },
                  footer: false,
                  extents: [],
                  allocated: null,
                  used_bytes: size,
                },
              ],
            },
          },
        ],
        files: [{ path: 'made up', size }],
        passedOver: [],
        warnings: [],
        close: async (outcome) => void closed.push(outcome),
      };
    },
  };
}

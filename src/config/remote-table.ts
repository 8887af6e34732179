import { z } from 'zod';
import { connection } from './connections.js';

/** `[remote]`: where VMs may be fetched from, and how much of the network that may use. */

const live = { reload: true, setBy: 'operator' } as const;

export const remoteTable = z
  .strictObject({
    parallel: z
      .int()
      .min(1)
      .max(16)
      .default(4)
      .meta({ description: 'Requests at once for one disk.', ...live }),
    per_host: z
      .int()
      .min(1)
      .max(64)
      .default(2)
      .meta({ description: 'Disks fetched at once from one host, over all jobs.', ...live }),
    bandwidth_mib: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(0)
      .meta({ description: 'Limit over all fetches (MiB per second); 0 for none.', ...live }),
    chunk_mib: z
      .int()
      .min(1)
      .max(1_024)
      .default(8)
      .meta({ description: 'Size of one request (MiB).', ...live }),
    socket: z.string().default('/run/hyper2kvm/fetch.sock').meta({
      description:
        'Socket of hyper2kvm-fetch.service, which has the network that the daemon lacks. Empty: the daemon fetches by itself.',
    }),
    connections: z
      .array(connection)
      .default([])
      .meta({
        description:
          'Servers that a job.toml may name, each {name, type, url, secret, ca_file or fingerprint, and what its type has} (docs/remote.md).',
        ...live,
      }),
  })
  .refine(
    ({ connections }) => new Set(connections.map((one) => one.name)).size === connections.length,
    'two connections have the same name',
  )
  .prefault({});

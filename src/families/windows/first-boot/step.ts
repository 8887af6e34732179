import { z } from 'zod';
import { LIMITS } from './limits.js';

/** A value in a line of plan.tsv: its separators are tabs and ends of lines. */
const text = z
  .string()
  .regex(/^[^\x00-\x1f\x7f]*$/)
  .max(4000);
const hexadecimal = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/)
  .max(2 * LIMITS.MAX_VALUE_BYTES);

/** Runs a program without a shell. Environment variables (`%SystemRoot%`) are Windows' own to fill in. */
const run = z.object({
  verb: z.literal('run'),
  command: text,
  /** Exit codes that are good beside 0 and those that ask for a restart. */
  good: z.array(z.int()),
  /** For an installer that may have to wait for another one: how often it is run, and seconds in between. */
  again: z.object({ times: z.int(), pause: z.int() }).nullable(),
});

/** Brings disks online: those with an MBR signature, or with a GPT partition, of the list. */
const disks = z.object({
  verb: z.literal('disks'),
  mbr: z.array(z.string().regex(/^[0-9a-f]{8}$/)),
  gpt: z.array(z.guid()),
});

/** Looks for devices again. */
const rescan = z.object({ verb: z.literal('rescan') });

/** Gives the adapter with this MAC address what the old one had; of a DHCP one only the rest. */
const network = z.object({
  verb: z.literal('network'),
  mac: z.string().regex(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/),
  name: text.nullable(),
  /** The old adapter's device instance, which Windows would remember for ever. */
  ghost: text.nullable(),
  addresses: z.array(z.object({ address: z.union([z.ipv4(), z.ipv6()]), prefix: z.int() })),
  /** `metric` is null where Windows chooses it. */
  gateways: z.array(z.object({ address: z.ipv4(), metric: z.int().nullable() })),
  dns: z.array(z.union([z.ipv4(), z.ipv6()])),
  suffix: text.nullable(),
});

/** Sets a value below HKEY_LOCAL_MACHINE; without data it is deleted, and without a name the key. */
const registry = z.object({
  verb: z.literal('registry'),
  key: text,
  name: text.nullable(),
  value: z.object({ type: z.int(), data: hexadecimal }).nullable(),
});

/** Writes a line of JSON to a serial port. */
const report = z.object({ verb: z.literal('report'), port: text });

/** What the first-boot program does in one step, which has a limit of time and two tries. */
export const firstBootStepSchema = z.object({
  /** Part of file names in the guest. */
  id: z
    .string()
    .regex(/^[a-z0-9-]+$/)
    .max(LIMITS.MAX_NAME),
  seconds: z.int().min(1).max(LIMITS.MAX_SECONDS),
  /** True for those that run when all others are finished, after a restart if one of these needs it. */
  last: z.boolean(),
  action: z.discriminatedUnion('verb', [run, disks, rescan, network, registry, report]),
});
export type FirstBootStep = z.infer<typeof firstBootStepSchema>;
export type FirstBootAction = FirstBootStep['action'];
export type NetworkAction = z.infer<typeof network>;

import type { z } from 'zod';
import type { Boot } from '../../model/boot.js';
import type { Identity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import type { Configuration, GuestState } from '../../operations/operation.js';
import type { Operation } from '../../operations/registry.js';
import type { BootPatterns, GuestReport } from './boot-patterns.js';
import type { Fixer, Guest } from './fixer.js';
import type { HostFiles, HostFilesContext } from './host-files.js';
import type { FamilyInspection } from './inspection.js';
import type { Remedy } from './remedy.js';

/** The addresses that a booted guest should have according to its own configuration. */
export interface NetworkExpectation {
  /** Static addresses, IPv6 in its shortest form, without loopback and link-local ones. */
  addresses: string[];
  /** True if an interface uses DHCP or IPv6 autoconfiguration. */
  dhcp: boolean;
}

/** What the boot test adds to a guest, in an overlay that is thrown away. */
export interface Evidence {
  operations: Operation[];
  /** The same for boot.json, one line for each change. */
  changes: string[];
  /** True if the guest then prints a report (`BootPatterns.report`), which the boot test waits for. */
  unit: boolean;
}

/** A family of operating systems: everything that INSPECT, PLAN, FIX and VALIDATE know about its guests. */
export interface Family<I extends Identity = Identity> extends FamilyInspection {
  os: I['os_type'];
  identity: z.ZodType<I> & z.core.$ZodTypeDiscriminable;
  /** Reads INSPECT's snapshot. */
  load(file: string): Promise<Configuration>;
  /** Reads from this host what its fixers may give the guest. */
  hostFiles(identity: I, context: HostFilesContext): Promise<HostFiles>;
  /** In the order in which they run. */
  fixers: readonly Fixer<I>[];
  /** Throws `plan.*` for a guest that must not be changed, or that nothing can be planned for. Pure. */
  refuse?(identity: I): void;
  /** Returns warnings about a plan as a whole. Pure. */
  review(guest: Guest<I>, operations: readonly Operation[]): Warning[];
  /** Returns the devices for a guest that is not changed (`fix.mode = "none"`), with warnings. Pure. */
  unfixed(guest: Guest<I>): { devices: Devices; warnings: Warning[] };
  /** Returns the network that the guest is configured for once the plan is applied. Pure. */
  network(after: GuestState<I>): NetworkExpectation;
  /** Returns what the boot test adds to the guest. Pure. */
  evidence(after: GuestState<I>): Evidence;
  boot: BootPatterns;
  /** Other plans for boots that failed in a known way, in the order in which they are tried. */
  remedies: readonly Remedy[];
  /** Returns a warning for each thing that a booted guest lacks according to its own report. Pure. */
  bootWarnings(report: GuestReport, network: NetworkExpectation): Boot['warnings'];
}

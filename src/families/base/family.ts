import type { z } from 'zod';
import type { GuestTree } from '../../guest/tree.js';
import type { Boot } from '../../model/boot.js';
import type { Identity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import type { GuestState } from '../../operations/operation.js';
import type { Operation } from '../../operations/registry.js';
import type { BootPatterns, GuestReport } from './boot-patterns.js';
import type { Fixer, Guest } from './fixer.js';
import type { FamilyInspection } from './inspection.js';

/** What a started guest is to have by its own configuration. */
export interface NetworkExpectation {
  /** Fixed addresses, IPv6 in its shortest form; no loopback and no link-local ones. */
  addresses: string[];
  /** Some interface asks DHCP, or an IPv6 router. */
  dhcp: boolean;
}

/** What the throw-away layer of the boot test adds to a guest. */
export interface Evidence {
  operations: Operation[];
  /** The same for boot.json, one line each. */
  changes: string[];
  /** The guest then prints a report (`BootPatterns.report`), which is waited for. */
  unit: boolean;
}

/** A family of operating systems: everything that INSPECT, PLAN, FIX and VALIDATE know about its guests. */
export interface Family extends FamilyInspection {
  os: Identity['os_type'];
  identity: z.ZodType<Identity>;
  /** Reads INSPECT's snapshot. */
  load(file: string): Promise<GuestTree>;
  /** In the order they run. */
  fixers: readonly Fixer[];
  /** What is to be said of a plan as a whole. Pure. */
  review(guest: Guest, operations: readonly Operation[]): Warning[];
  /** The devices of a guest that is not changed (`fix.mode = "none"`), and what is to be said of it. Pure. */
  unfixed(guest: Guest): { devices: Devices; warnings: Warning[] };
  /** What the guest, as it is after the plan, is configured to come up with. Pure. */
  network(after: GuestState): NetworkExpectation;
  /** Pure. */
  evidence(after: GuestState): Evidence;
  boot: BootPatterns;
  /** What a booted guest lacks, by its own report. Pure. */
  bootWarnings(report: GuestReport, network: NetworkExpectation): Boot['warnings'];
}

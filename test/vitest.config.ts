import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './longest-first.js';

/** Tests, and the threads that the product starts in them, run from the sources. */
const SOURCES = ['--import', fileURLToPath(new URL('typescript-sources.mjs', import.meta.url))];

const ISOLATED = 'test/unit/**/*.isolated.test.ts';
const UNIT = {
  include: ['test/unit/**/*.test.ts'],
  execArgv: SOURCES,
  // Two more than the cores of a small machine: many tests only wait.
  maxWorkers: 4,
  testTimeout: 20_000,
  sequence: { groupOrder: 0 },
};

/**
 * Files of both run side by side: those with guests keep the cores busy, those without mostly wait. Machines
 * of the tests have one virtual CPU: two of them with two each on two cores take more than twice as long as
 * one after the other, since QEMU's threads wait for each other.
 */
const REAL = {
  execArgv: SOURCES,
  maxWorkers: 3,
  testTimeout: 900_000,
  hookTimeout: 900_000,
  env: { HYPER2KVM_VALIDATE_SMP: '1', HYPER2KVM_GUEST_SMP: '1' },
};

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...UNIT,
          name: 'unit',
          exclude: [ISOLATED],
          // A process for each of 200 files would take as long as their tests.
          isolate: false,
          // Node strips the types and keeps what it compiled: Vite would transform 1,000 files anew in every run.
          experimental: { viteModuleRunner: false, nodeLoader: false },
        },
      },
      {
        // Those that replace a module, or change its state for good: others in the same process would see it.
        test: { ...UNIT, name: 'unit-isolated', include: [ISOLATED] },
      },
      {
        test: {
          // Refusals and answers within seconds are asserted, which cannot be had beside guests without KVM.
          ...REAL,
          name: 'hostile',
          // Vitest wants one number for all of a group.
          maxWorkers: UNIT.maxWorkers,
          include: ['test/integration/hostile*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...REAL,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/hostile*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...REAL,
          name: 'guests',
          include: ['test/guests/**/*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

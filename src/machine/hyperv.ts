/**
 * Features of Hyper-V's interface that KVM offers Windows, by the names that QEMU and libvirt share: all that
 * QEMU recommends (docs/system/i386/hyperv.rst) and every KVM since Linux 4.20 has.
 */
export const HYPERV_FEATURES = [
  'relaxed',
  'vapic',
  'vpindex',
  'runtime',
  'synic',
  'stimer',
  'frequencies',
  'tlbflush',
  'ipi',
] as const;

/** Attempts to get a spinlock before the guest tells the hypervisor that it waits. */
export const HYPERV_SPINLOCKS = 8191;

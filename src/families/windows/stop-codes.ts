/** What a blue screen's code mostly means after a move to another hypervisor, and what to do. */
export interface StopCode {
  code: number;
  name: string;
  cause: keyof typeof CAUSES;
}

const CAUSES = {
  storage: {
    meaning: 'it has no driver for the disk controller that starts with it',
    advice:
      'Give a virtio-win with a signed driver for this Windows (`hyper2kvm doctor` says what it offers) and retry the job; or retry without it, for SATA disks.',
  },
  volume: {
    meaning: 'its volume cannot be used',
    advice:
      'The source was not shut down cleanly, or its filesystem is damaged: run `chkdsk C: /f` on the old hypervisor, shut down with `shutdown /s /f /t 0` and export again.',
  },
  registry: {
    meaning: 'its registry or boot configuration cannot be used',
    advice:
      'Start the source on the old hypervisor, shut it down cleanly and export again; if it happens there too, restore the registry from a backup.',
  },
  driver: {
    meaning: 'a driver failed',
    advice:
      'The screenshot may name the .sys file. Remove the old hypervisor’s tools, or that driver, on the source and export again.',
  },
  processor: {
    meaning: 'it does not get on with this machine’s processor or firmware',
    advice:
      'Check [vm] firmware and vcpus in the job.toml, and whether the host is overloaded; old releases want one CPU.',
  },
  system: {
    meaning: 'a part of Windows itself ended or is damaged',
    advice:
      'Start the source on the old hypervisor and run `sfc /scannow`; a security program that was removed by halves does this, too.',
  },
  other: {
    meaning: 'see the name of the stop',
    advice:
      'The last screenshot has the code and its parameters; Microsoft’s “Bug Check Code Reference” explains them.',
  },
} as const;

/** Microsoft, "Bug Check Code Reference": those that users report after moves between hypervisors. */
export const STOP_CODES: readonly StopCode[] = [
  { code: 0x7b, name: 'INACCESSIBLE_BOOT_DEVICE', cause: 'storage' },
  { code: 0xed, name: 'UNMOUNTABLE_BOOT_VOLUME', cause: 'volume' },
  { code: 0x24, name: 'NTFS_FILE_SYSTEM', cause: 'volume' },
  { code: 0x77, name: 'KERNEL_STACK_INPAGE_ERROR', cause: 'volume' },
  { code: 0x7a, name: 'KERNEL_DATA_INPAGE_ERROR', cause: 'volume' },
  { code: 0x51, name: 'REGISTRY_ERROR', cause: 'registry' },
  { code: 0x67, name: 'CONFIG_INITIALIZATION_FAILED', cause: 'registry' },
  { code: 0x74, name: 'BAD_SYSTEM_CONFIG_INFO', cause: 'registry' },
  { code: 0xc0000218, name: 'STATUS_CANNOT_LOAD_REGISTRY_FILE', cause: 'registry' },
  { code: 0xd1, name: 'DRIVER_IRQL_NOT_LESS_OR_EQUAL', cause: 'driver' },
  // After the one whose name ends with it.
  { code: 0xa, name: 'IRQL_NOT_LESS_OR_EQUAL', cause: 'driver' },
  { code: 0x1e, name: 'KMODE_EXCEPTION_NOT_HANDLED', cause: 'driver' },
  { code: 0x3b, name: 'SYSTEM_SERVICE_EXCEPTION', cause: 'driver' },
  { code: 0x50, name: 'PAGE_FAULT_IN_NONPAGED_AREA', cause: 'driver' },
  { code: 0x1000007e, name: 'SYSTEM_THREAD_EXCEPTION_NOT_HANDLED_M', cause: 'driver' },
  { code: 0x7e, name: 'SYSTEM_THREAD_EXCEPTION_NOT_HANDLED', cause: 'driver' },
  { code: 0xc2, name: 'BAD_POOL_CALLER', cause: 'driver' },
  { code: 0xce, name: 'DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS', cause: 'driver' },
  { code: 0x139, name: 'KERNEL_SECURITY_CHECK_FAILURE', cause: 'driver' },
  { code: 0x9f, name: 'DRIVER_POWER_STATE_FAILURE', cause: 'driver' },
  { code: 0x5c, name: 'HAL_INITIALIZATION_FAILED', cause: 'processor' },
  { code: 0x5d, name: 'UNSUPPORTED_PROCESSOR', cause: 'processor' },
  { code: 0x79, name: 'MISMATCHED_HAL', cause: 'processor' },
  { code: 0x7f, name: 'UNEXPECTED_KERNEL_MODE_TRAP', cause: 'processor' },
  { code: 0xa5, name: 'ACPI_BIOS_ERROR', cause: 'processor' },
  { code: 0x101, name: 'CLOCK_WATCHDOG_TIMEOUT', cause: 'processor' },
  { code: 0x124, name: 'WHEA_UNCORRECTABLE_ERROR', cause: 'processor' },
  { code: 0x133, name: 'DPC_WATCHDOG_VIOLATION', cause: 'processor' },
  { code: 0x18b, name: 'SECURE_KERNEL_ERROR', cause: 'processor' },
  { code: 0x6b, name: 'PROCESS1_INITIALIZATION_FAILED', cause: 'system' },
  { code: 0xef, name: 'CRITICAL_PROCESS_DIED', cause: 'system' },
  { code: 0xf4, name: 'CRITICAL_OBJECT_TERMINATION', cause: 'system' },
  { code: 0xc000021a, name: 'STATUS_SYSTEM_PROCESS_TERMINATED', cause: 'system' },
];

export const stopAdvice = ({ cause }: Pick<StopCode, 'cause'>) => CAUSES[cause];

/** `0x0000007B`. */
export const codeText = (code: number): string => `0x${code.toString(16).toUpperCase().padStart(8, '0')}`;

import { z } from 'zod';

/** How the MAC address of a network adapter was found: docs/windows.md has the order. */
const macSourceSchema = z.enum(['override', 'permanent', 'vmxnet3-id', 'e1000e-id', 'pci-slot', 'only-one']);
export type MacSource = z.infer<typeof macSourceSchema>;

const windowsInterfaceSchema = z.object({
  /** In upper case, with braces. */
  guid: z.string(),
  /** The connection's name (`Ethernet0`). */
  name: z.string(),
  /** The adapter's device instance (`PCI\VEN_15AD&DEV_07B0&…`). */
  device: z.string(),
  /** The address that the guest used, in lower case with colons; null if nothing tells it. */
  mac: z.string().nullable(),
  mac_source: macSourceSchema.nullable(),
  /** The card's own address if Windows overrides it; null otherwise. */
  permanent_mac: z.string().nullable(),
  dhcp: z.boolean(),
  /** Static ones: IPv4, then IPv6. */
  addresses: z.array(z.object({ address: z.string(), prefix: z.int() })),
  /** `metric` is null where Windows chooses it. */
  gateways: z.array(z.object({ address: z.string(), metric: z.int().nullable() })),
  dns: z.array(z.string()),
  /** The connection's own DNS suffix; null if it has none. */
  suffix: z.string().nullable(),
});
export type WindowsInterface = z.infer<typeof windowsInterfaceSchema>;

const routeSchema = z.object({
  destination: z.string(),
  mask: z.string(),
  gateway: z.string(),
  metric: z.int().nullable(),
});
export type PersistentRoute = z.infer<typeof routeSchema>;

/** What the boot manager starts by default. */
const bootStoreSchema = z.object({
  /** The filesystem that the store is on, as in `filesystems`, and the index of its disk, if it has one. */
  device: z.string(),
  disk: z.int().nullable().default(null),
  /** The hive's file where FIX mounts that filesystem; null if it does not. */
  path: z.string().nullable().default(null),
  /** The GUID of the default entry, in lower case with braces; null if there is none. */
  entry: z.string().nullable().default(null),
  /** The loader's path; null if the store names no loader. */
  loader: z.string().nullable(),
  /** Whether the loader and the system it starts are on the guest's root; null if the store does not say. */
  matches_root: z.boolean().nullable(),
  /** Drivers that are not signed by Microsoft are loaded. */
  test_signing: z.boolean(),
  /** Code integrity policies on the ESP, as files below its root. */
  policies: z.array(z.string()).default([]),
  /** Safe mode. */
  safe_boot: z.boolean(),
  graphics_disabled: z.boolean(),
  /** UEFI: the program that a firmware without boot entries starts, which ought to be Windows' boot manager. */
  fallback: z
    .object({
      /** The boot manager (`bootmgfw.efi`) and that program, as FIX finds them. */
      manager: z.string().nullable(),
      path: z.string(),
      state: z.enum(['same', 'different', 'missing']),
    })
    .nullable()
    .default(null),
});
export type BootStoreFacts = z.infer<typeof bootStoreSchema>;

/** A driver of virtio that Windows has: its service, and the version of the file that this names. */
const virtioDriverSchema = z.object({
  service: z.enum(['viostor', 'vioscsi', 'netkvm']),
  path: z.string(),
  version: z.string().nullable(),
});
export type VirtioDriver = z.infer<typeof virtioDriverSchema>;

/** What INSPECT finds of Windows, beside what it finds of every system. */
export const windowsFields = {
  build: z.int(),
  /** `Professional`, `ServerStandard`, … */
  edition: z.string(),
  /** `Client`, `Server`, `Server Core`, … */
  installation_type: z.string(),
  /** The control set that Windows starts with. */
  control_set: z.int(),
  /** The directory of Windows on the root filesystem, as it is spelled there (`/Windows`). */
  system_root: z.string(),
  /** Network adapters, without those of Windows itself. */
  interfaces: z.array(windowsInterfaceSchema),
  routes: z.array(routeSchema),
  /** `msi`: installed; `remnants`: only services of it are left. */
  vmware_tools: z.enum(['none', 'msi', 'remnants']),
  vmware_tools_version: z.string().nullable(),
  virtio_drivers: z.array(virtioDriverSchema),
  /** From the hypervisor, in lower case; null before Windows 8. */
  smbios_uuid: z.string().nullable(),
  clock: z.enum(['localtime', 'utc']),
  /** The memory of a running system is in hiberfil.sys: nothing may be written to its volumes. */
  hibernated: z.boolean(),
  /** How the NTFS volumes that FIX mounts were left; null where it cannot be told. */
  volumes: z
    .array(
      z.object({
        device: z.string(),
        /** Windows checks the volume at its next start. */
        dirty: z.boolean().nullable(),
        /** False if the journal holds changes that are not in the volume yet. */
        journal_clean: z.boolean().nullable(),
        /** Free bytes. */
        free: z.number().nullable().default(null),
      }),
    )
    .default([]),
  /** Windows is set to hibernate its kernel when it is shut down, which is the default and does no harm. */
  fast_startup: z.boolean(),
  /** The disk of the root filesystem is a dynamic one (LDM). */
  dynamic_disk: z.boolean(),
  /** Null if none was found. */
  boot_store: bootStoreSchema.nullable(),
};

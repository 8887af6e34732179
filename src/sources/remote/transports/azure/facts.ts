import { z } from 'zod';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { interrupted } from '../http/errors.js';

/** What is needed of Azure's answers; names of states compare without their case. */
const lower = z.string().transform((text) => text.toLowerCase());
const managed = z.object({ managedDisk: z.object({ id: z.string() }).optional() });

const vmForm = z.object({
  name: z.string(),
  location: z.string(),
  properties: z.object({
    vmId: z.string().nullish(),
    hardwareProfile: z.object({ vmSize: z.string() }).optional(),
    storageProfile: z.object({
      osDisk: managed.extend({ diffDiskSettings: z.object({}).nullish() }),
      dataDisks: z
        .array(managed.extend({ lun: z.int().min(0).max(4_096), toBeDetached: z.boolean().nullish() }))
        .default([]),
    }),
    securityProfile: z
      .object({
        securityType: z.string().nullish(),
        uefiSettings: z
          .object({ secureBootEnabled: z.boolean().nullish(), vTpmEnabled: z.boolean().nullish() })
          .nullish(),
      })
      .nullish(),
    networkProfile: z
      .object({ networkInterfaces: z.array(z.object({ id: z.string() })).default([]) })
      .nullish(),
    instanceView: z.object({ statuses: z.array(z.object({ code: lower })).default([]) }).optional(),
  }),
});
export type AzureVm = z.infer<typeof vmForm>;

const diskForm = z.object({
  id: z.string(),
  name: z.string(),
  location: z.string(),
  properties: z.object({
    diskState: lower.optional(),
    hyperVGeneration: z.string().nullish(),
    encryptionSettingsCollection: z.object({ enabled: z.boolean() }).nullish(),
    securityProfile: z.object({ securityType: z.string() }).nullish(),
  }),
});
export type AzureDisk = z.infer<typeof diskForm>;

const snapshotForm = z.object({
  tags: z.record(z.string(), z.string()).nullish(),
  properties: z.object({
    timeCreated: z.string().optional(),
    provisioningState: z.string().optional(),
    completionPercent: z.number().nullish(),
  }),
});
export type AzureSnapshot = z.infer<typeof snapshotForm>;

export const parseVm = (answer: unknown) => parsed(vmForm, answer, 'VM');
export const parseDisk = (answer: unknown) => parsed(diskForm, answer, 'disk');
export const parseSnapshot = (answer: unknown) => parsed(snapshotForm, answer, 'snapshot');

function parsed<T>(form: z.ZodType<T>, answer: unknown, what: string): T {
  const { success, data, error } = form.safeParse(answer);
  if (success) return data;
  throw interrupted(`Azure describes the ${what} in another way than expected: ${z.prettifyError(error)}`);
}

/** Whether the VM's disks are at rest. One that was shut down from within is still on its host: `stopped`. */
export function isDeallocated({ properties }: AzureVm): boolean {
  return properties.instanceView?.statuses.some(({ code }) => code === 'powerstate/deallocated') === true;
}

/** Throws `remote.unsupported-disk` for a disk whose bytes would be of no use. */
export function refuseDisk({ name, properties }: AzureDisk): void {
  const why =
    properties.encryptionSettingsCollection?.enabled === true
      ? 'is encrypted from within the guest (Azure Disk Encryption)'
      : properties.securityProfile?.securityType.startsWith('ConfidentialVM') === true
        ? 'is of a confidential VM'
        : null;
  if (why !== null) throw new Hyper2kvmError('remote.unsupported-disk', `${printable(name)} ${why}`);
}

/** Returns the ids of a VM's disks, the system's first. Throws `remote.unsupported-disk`. */
export function diskIds({ name, properties }: AzureVm): { label: string; id: string }[] {
  const { osDisk, dataDisks } = properties.storageProfile;
  if (osDisk.diffDiskSettings != null)
    throw new Hyper2kvmError(
      'remote.unsupported-disk',
      `${printable(name)} has an ephemeral system disk, which cannot be read`,
    );
  const attached = dataDisks
    .filter(({ toBeDetached }) => toBeDetached !== true)
    .sort((a, b) => a.lun - b.lun);
  const all = [
    { label: 'os', disk: osDisk },
    ...attached.map((disk) => ({ label: `data${disk.lun}`, disk })),
  ];
  return all.map(({ label, disk }) => {
    if (disk.managedDisk !== undefined) return { label, id: disk.managedDisk.id };
    throw new Hyper2kvmError(
      'remote.unsupported-disk',
      `${printable(name)} has disks that are blobs of a storage account (unmanaged)`,
      {
        advice:
          'Fetch the blobs by a connection of the type `http` with a SAS, or migrate the VM to managed disks.',
      },
    );
  });
}

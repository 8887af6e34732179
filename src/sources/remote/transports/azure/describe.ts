import type { Logger } from 'pino';
import { z } from 'zod';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { ArmClient } from './arm-client.js';
import type { AzureDisk, AzureVm } from './facts.js';

const NETWORK_VERSION = '2024-05-01';
const sizesForm = z.object({
  value: z.array(z.object({ name: z.string(), numberOfCores: z.int(), memoryInMB: z.int() })),
});
const nicForm = z.object({ name: z.string(), properties: z.object({ macAddress: z.string().nullish() }) });
const MAC = /^[0-9A-F]{2}(-[0-9A-F]{2}){5}$/i;

/**
 * Returns a .vmx that says what Azure knows of a VM: its name, firmware, size, NICs with their MACs, and which file is
 * which disk. What the connection may not read is left out.
 */
export async function describeVm(
  vm: AzureVm,
  disks: readonly { file: string; disk: AzureDisk }[],
  arm: ArmClient,
  { group, name, signal, log }: { group: string; name: string; signal: AbortSignal; log: Logger },
): Promise<string> {
  const { hardwareProfile, securityProfile, networkProfile } = vm.properties;
  const [, subscription = ''] = /^\/subscriptions\/([^/]+)/i.exec(group) ?? [];
  const optional = async <T>(what: string, ask: () => Promise<T>): Promise<T | null> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Hyper2kvmError) || error.retryable) throw error;
      log.warn(
        { code: error.code, error: error.message },
        `${what} of the VM cannot be read, leaving it out`,
      );
      return null;
    }
  };
  const size = await optional('the size', async () => {
    const path = `/subscriptions/${subscription}/providers/Microsoft.Compute/locations/${encodeURIComponent(vm.location)}/vmSizes`;
    const sizes = sizesForm.safeParse(await arm.get(path, signal)).data?.value;
    return sizes?.find(({ name }) => name.toLowerCase() === hardwareProfile?.vmSize.toLowerCase()) ?? null;
  });
  const macs: (string | null)[] = [];
  for (const { id } of networkProfile?.networkInterfaces ?? [])
    macs.push(
      await optional('a network interface', async () => {
        const answer = await arm.get(id, signal, { version: NETWORK_VERSION });
        const mac = nicForm.safeParse(answer).data?.properties.macAddress ?? '';
        return MAC.test(mac) ? mac.replaceAll('-', ':').toLowerCase() : null;
      }),
    );
  const isUefi = disks[0]?.disk.properties.hyperVGeneration?.toUpperCase() === 'V2';
  const { secureBootEnabled, vTpmEnabled } = securityProfile?.uefiSettings ?? {};
  const lines: [key: string, value: string | number | null][] = [
    ['.encoding', 'UTF-8'],
    ['displayName', name],
    ['memSize', size?.memoryInMB ?? null],
    ['numvcpus', size?.numberOfCores ?? null],
    ['firmware', isUefi ? 'efi' : 'bios'],
    ['uefi.secureBoot.enabled', isUefi && secureBootEnabled === true ? 'TRUE' : null],
    ['vtpm.present', isUefi && vTpmEnabled === true ? 'TRUE' : null],
    ['scsi0.present', 'TRUE'],
    ...disks.flatMap(({ file }, index): typeof lines => [
      [`scsi0:${unitOf(index)}.present`, 'TRUE'],
      [`scsi0:${unitOf(index)}.fileName`, file],
    ]),
    ...macs.flatMap((mac, index): typeof lines => [
      [`ethernet${index}.present`, 'TRUE'],
      [`ethernet${index}.addressType`, mac === null ? null : 'static'],
      [`ethernet${index}.address`, mac],
    ]),
  ];
  return lines.flatMap(([key, value]) => (value === null ? [] : [`${key} = "${value}"\n`])).join('');
}

/** Unit 7 is the controller itself. */
function unitOf(index: number): number {
  return index < 7 ? index : index + 1;
}

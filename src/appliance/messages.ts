/**
 * What the daemon and its appliance child say to each other over Node's IPC channel (structured clone:
 * Buffers pass).
 */
export interface LaunchRequest {
  id: number;
  type: 'launch';
  disks: { file: string; format: string; sectorSize: number }[];
  memoryMib: number;
  smp: number;
  /** A unix socket (at most 107 bytes) on which the appliance's qemu answers QMP. */
  qmpSocket: string;
  cacheDirectory: string;
}
export interface CallRequest {
  id: number;
  type: 'call';
  name: string;
  args: unknown[];
}
export interface CloseRequest {
  id: number;
  type: 'close';
}
export type Request = LaunchRequest | CallRequest | CloseRequest;

export type Reply =
  | { id: number; ok: true; result: unknown }
  | { id: number; ok: false; message: string; errno: number };

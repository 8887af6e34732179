/**
 * The messages between the daemon and its appliance child over Node's IPC channel (structured clone, which
 * passes Buffers).
 */
export interface LaunchRequest {
  id: number;
  type: 'launch';
  disks: { file: string; format: string; sectorSize: number }[];
  memoryMib: number;
  smp: number;
  /** A unix socket (at most 107 bytes) on which the appliance's QEMU answers QMP. */
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

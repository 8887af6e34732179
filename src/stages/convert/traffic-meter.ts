import { addIo, type ProcessIo, processIo } from '../../host/process-io.js';

const NOTHING: ProcessIo = { read: 0, deviceRead: 0, deviceWritten: 0 };

/** What the conversions of a VM's disks have read and written so far. */
export class TrafficMeter {
  readonly #running = new Map<number, number>();
  readonly #counted = new Map<number, ProcessIo>();

  /** `pid` is the process that converts the disk, or what started it. */
  started(disk: number, pid: number): void {
    this.#running.set(disk, pid);
  }

  /** Called before the process ends, too, because it is not counted afterwards. */
  sample(): ProcessIo {
    for (const [disk, pid] of this.#running) {
      const io = processIo(pid);
      if (io.read >= (this.#counted.get(disk)?.read ?? 0)) this.#counted.set(disk, io);
    }
    return [...this.#counted.values()].reduce(addIo, NOTHING);
  }

  ended(disk: number): void {
    this.#running.delete(disk);
  }
}

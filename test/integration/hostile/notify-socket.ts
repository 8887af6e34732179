import koffi from 'koffi';

/**
 * The receiving end of systemd's notification socket (sd_notify(3)); Node has no datagram sockets in the file
 * system.
 */
export class NotifySocket {
  readonly #descriptor: number;
  readonly #receive: (descriptor: number, buffer: Buffer, length: number, flags: number) => number | bigint;
  readonly #close: (descriptor: number) => number;

  constructor(path: string) {
    const libc = koffi.load('libc.so.6');
    const socket = libc.func('int socket(int, int, int)');
    const bind = libc.func('int bind(int, uint8_t *, uint32_t)');
    this.#receive = libc.func('int64_t recv(int, _Out_ uint8_t *, size_t, int)');
    this.#close = libc.func('int close(int)');
    const [AF_UNIX, SOCK_DGRAM] = [1, 2];
    this.#descriptor = socket(AF_UNIX, SOCK_DGRAM, 0) as number;
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    if (bind(this.#descriptor, address, address.length) !== 0)
      throw new Error(`the notification socket ${path} cannot be bound`);
  }

  /** The messages that have come since the last call. */
  messages(): string[] {
    const MSG_DONTWAIT = 0x40;
    const found: string[] = [];
    for (;;) {
      const buffer = Buffer.alloc(4096);
      const length = Number(this.#receive(this.#descriptor, buffer, buffer.length, MSG_DONTWAIT));
      if (length <= 0) return found;
      found.push(buffer.toString('utf8', 0, length));
    }
  }

  close(): void {
    this.#close(this.#descriptor);
  }
}

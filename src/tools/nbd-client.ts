import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Hyper2kvmError } from '../errors/error.js';

const HELLO = Buffer.from('NBDMAGICIHAVEOPT');
const OPTION = Buffer.from('IHAVEOPT');
const OPTION_REPLY = 0x0003e889045565a9n;
const FIXED_AND_NO_ZEROES = 3;
const GO = 7;
const REPLY = { ack: 1, info: 3 } as const;
const INFO_EXPORT = 0;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, writeZeroes: 6 } as const;
/** Answers of a server of ours are far smaller. */
const MAX_OPTION_BYTES = 64 * 1024;

/**
 * A connection to one disk of an NBD server (the fixed newstyle handshake, simple replies), with one request at
 * a time. Every method rejects with `tool.failed` if the server answers an error or goes away.
 */
export class NbdClient {
  readonly #socket: Socket;
  /** Why nothing more will come. */
  #failure: Hyper2kvmError | null = null;
  #cookie = 0n;
  #chunks: Buffer[] = [];
  #received = 0;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    const fail = (cause?: unknown) => {
      this.#failure ??= failed('the NBD server is gone', cause);
      this.#wake();
    };
    socket.once('error', fail);
    socket.once('close', () => fail());
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#received += chunk.length;
      this.#wake();
    });
  }

  /** Opens the default export of a server on a unix socket. Rejects with the system's error if none listens. */
  static async connect(path: string): Promise<NbdClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    const client = new NbdClient(socket);
    try {
      await client.#handshake();
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.#request(COMMAND.read, offset, length);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    await this.#request(COMMAND.write, offset, data.length, data);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    await this.#request(COMMAND.writeZeroes, offset, length);
  }

  /** Makes durable what was written. */
  async flush(): Promise<void> {
    await this.#request(COMMAND.flush, 0, 0);
  }

  /** Ends the connection; a server that serves one client ends, too. */
  async disconnect(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.end(this.#header(COMMAND.disconnect, 0, 0));
    await closed;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #handshake(): Promise<void> {
    const hello = await this.#take(HELLO.length + 2);
    if (!hello.subarray(0, HELLO.length).equals(HELLO)) throw failed('this is no NBD server');
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE(FIXED_AND_NO_ZEROES);
    const option = Buffer.alloc(OPTION.length + 8 + 6);
    OPTION.copy(option);
    option.writeUInt32BE(GO, 8);
    // An empty name, and no further questions.
    option.writeUInt32BE(6, 12);
    this.#socket.write(Buffer.concat([flags, option]));
    for (let isExport = false; ; ) {
      const header = await this.#take(20);
      const type = header.readUInt32BE(12);
      const length = header.readUInt32BE(16);
      if (header.readBigUInt64BE(0) !== OPTION_REPLY || length > MAX_OPTION_BYTES)
        throw failed('the NBD server’s answer makes no sense');
      const data = await this.#take(length);
      if (type === REPLY.info) isExport ||= length >= 12 && data.readUInt16BE(0) === INFO_EXPORT;
      else if (type === REPLY.ack && isExport) return;
      else throw failed(`the NBD server refuses the disk (${type.toString(16)})`);
    }
  }

  async #request(type: number, offset: number, length: number, data?: Buffer): Promise<Buffer> {
    const header = this.#header(type, offset, length);
    this.#socket.write(header);
    if (data !== undefined) this.#socket.write(data);
    const reply = await this.#take(16);
    if (reply.readUInt32BE(0) !== SIMPLE_REPLY || reply.readBigUInt64BE(8) !== this.#cookie)
      throw failed('the NBD server’s answer makes no sense');
    const error = reply.readUInt32BE(4);
    if (error === ENOSPC) throw new Hyper2kvmError('host.enospc', 'no space left for the disk');
    if (error !== 0) throw failed(`the NBD server answers error ${error}`);
    return type === COMMAND.read ? this.#take(length) : Buffer.alloc(0);
  }

  #header(type: number, offset: number, length: number): Buffer {
    const header = Buffer.alloc(28);
    this.#cookie += 1n;
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(type, 6);
    header.writeBigUInt64BE(this.#cookie, 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    return header;
  }

  /** Nothing comes that was not asked for, so what has come is at most one answer. */
  async #take(length: number): Promise<Buffer> {
    while (this.#received < length) {
      if (this.#failure !== null) throw this.#failure;
      // No race against a promise of the failure: that would keep a little of each of millions of requests.
      await this.#more();
    }
    const [first] = this.#chunks;
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    const rest = all.subarray(length);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#received = rest.length;
    return all.subarray(0, length);
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const ENOSPC = 28;

function failed(message: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('tool.failed', message, { cause });
}

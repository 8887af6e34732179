import type { Logger } from 'pino';
import { childrenNamed } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { markup } from '../../../../text/markup.js';
import { type DatastorePath, datastorePathText } from './datastore-path.js';
import { VsphereFault } from './faults.js';
import { type Session, textOf } from './session.js';
import type { MoRef } from './soap-client.js';
import { resultOf } from './task.js';

/**
 * What datastores know of their files: size and time of change. It shows a change where `/folder` answers without an
 * ETag, as ESXi hosts do. One question a folder.
 */
export class DatastoreListing {
  readonly #session: Session;
  /** By the name of the datastore. */
  readonly #browsers: ReadonlyMap<string, MoRef>;
  readonly #log: Logger;
  readonly #folders = new Map<string, Promise<ReadonlyMap<string, string>>>();
  readonly #asked = new Map<string, { path: DatastorePath; state: string }>();

  constructor(session: Session, browsers: ReadonlyMap<string, MoRef>, log: Logger) {
    this.#session = session;
    this.#browsers = browsers;
    this.#log = log;
  }

  /** Returns another text for another state of a file; null if the datastore does not tell. */
  async stateOf(path: DatastorePath, signal: AbortSignal): Promise<string | null> {
    const key = folderText(path);
    const listed = this.#folders.get(key) ?? this.#list(path, signal);
    this.#folders.set(key, listed);
    const state = (await listed).get(path.file) ?? null;
    if (state !== null) this.#asked.set(datastorePathText(path), { path, state });
    return state;
  }

  /** Throws `remote.source-changed` if a file is not any more as it was when it was asked for. */
  async confirm(signal: AbortSignal): Promise<void> {
    this.#folders.clear();
    for (const [text, { path, state }] of [...this.#asked]) {
      const now = await this.stateOf(path, signal);
      if (now !== null && now !== state)
        throw new Hyper2kvmError('remote.source-changed', `${text} was changed while it was fetched`);
    }
  }

  async #list(path: DatastorePath, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const folder = folderText(path);
    const browser = this.#browsers.get(path.datastore);
    if (browser === undefined) return new Map();
    try {
      const [task] = await this.#session.call('SearchDatastore_Task', browser, searchMarkup(folder), signal);
      const found = await resultOf(this.#session, task, `the search of ${folder}`, signal);
      return new Map(
        childrenNamed(found, 'file').map((file) => [
          textOf(file, 'path') ?? '',
          `${textOf(file, 'fileSize')} ${textOf(file, 'modification')}`,
        ]),
      );
    } catch (err) {
      if (!(err instanceof VsphereFault) || err.retryable) throw err;
      // A license or a role may forbid it. The state of the VM's configuration still counts.
      this.#log.warn({ err, folder }, 'the times of change of the VM’s files cannot be read');
      return new Map();
    }
  }
}

function folderText({ datastore, folder }: DatastorePath): string {
  return `[${datastore}] ${folder}`.trim();
}

const searchMarkup = (folder: string) =>
  markup`<datastorePath>${folder}</datastorePath><searchSpec><details><fileType>false</fileType><fileSize>true</fileSize><modification>true</modification><fileOwner>false</fileOwner></details><matchPattern>*.vmdk</matchPattern></searchSpec>`;

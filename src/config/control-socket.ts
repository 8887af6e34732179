import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { type ErrorRecord, errorRecord } from '../errors/error.js';
import { type ConfigSources, DEFAULT_CONFIG_FILE, loadConfig } from './load.js';
import { configSchema } from './schema.js';

export interface ControlSocket {
  path: string;
  /** What is wrong with the configuration; null when it is valid. */
  problem: ErrorRecord | null;
}

/**
 * The control socket that the configuration names, also where the rest of it is wrong: the daemon that runs
 * read it when it was right, and can be asked. Throws only for a file that was asked for and cannot be read:
 * `config.missing`, `config.unreadable`.
 */
export function controlSocket(sources: Pick<ConfigSources, 'file' | 'env'>): ControlSocket {
  try {
    return { path: loadConfig(sources).config.control.socket, problem: null };
  } catch (error) {
    const problem = errorRecord(error);
    const isUnread = problem.code === 'config.missing' || problem.code === 'config.unreadable';
    if (isUnread && sources.file !== undefined) throw error;
    const text = isUnread ? '' : readFileSync(sources.file ?? DEFAULT_CONFIG_FILE, 'utf8');
    const path = sources.env.HYPER2KVM_CONTROL_SOCKET ?? socketIn(text);
    return { path: path ?? configSchema.parse({}).control.socket, problem };
  }
}

/** Of a text that may be no TOML: then of its `[control]` table alone. */
function socketIn(text: string): string | null {
  const table = /^[ \t]*\[[ \t]*control[ \t]*\][^\n]*\n(?:(?![ \t]*\[)[^\n]*\n?)*/m.exec(text)?.[0] ?? '';
  for (const part of [text, table]) {
    try {
      const { control } = parseToml(part);
      if (typeof control !== 'object' || !('socket' in control)) continue;
      if (typeof control.socket === 'string' && control.socket !== '') return control.socket;
    } catch {
      // Broken here, too: `problem` says where.
    }
  }
  return null;
}

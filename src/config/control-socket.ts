import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { type ErrorRecord, errorRecord } from '../errors/error.js';
import { type ConfigSources, DEFAULT_CONFIG_FILE, loadConfig } from './load.js';
import { configSchema } from './schema.js';

export interface ControlSocket {
  path: string;
  /** The error in the configuration; null if it is valid. */
  problem: ErrorRecord | null;
}

/**
 * Returns the configured control socket even if the rest of the configuration is invalid: the running daemon
 * read it when it was valid, and can still be asked. Throws only if a given file cannot be read:
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

/** Reads a text that may not be TOML; in that case only its `[control]` table. */
function socketIn(text: string): string | null {
  const table = /^[ \t]*\[[ \t]*control[ \t]*\][^\n]*\n(?:(?![ \t]*\[)[^\n]*\n?)*/m.exec(text)?.[0] ?? '';
  for (const part of [text, table]) {
    try {
      const { control } = parseToml(part);
      if (typeof control !== 'object' || !('socket' in control)) continue;
      if (typeof control.socket === 'string' && control.socket !== '') return control.socket;
    } catch {
      // Invalid here as well: `problem` says where.
    }
  }
  return null;
}

import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** Returns where `name` is on the search path, or null. */
export async function findProgram(name: string, path = process.env.PATH ?? ''): Promise<string | null> {
  for (const directory of path.split(delimiter)) {
    if (directory === '') continue;
    const program = join(directory, name);
    const isThere = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return program;
  }
  return null;
}

/**
 * Returns a function that takes a session's output in chunks and passes on what follows the line `mark`: the
 * startup files of a login shell may print something before it.
 */
export function withoutNoise(mark: string, pass: (chunk: Buffer) => unknown): (chunk: Buffer) => unknown {
  const line = Buffer.from(`\n${mark}\n`);
  let before: Buffer | null = Buffer.alloc(0);
  return (chunk) => {
    if (before === null) return pass(chunk);
    const all: Buffer = Buffer.concat([before, chunk]);
    const at = all.indexOf(line);
    // The mark may be cut by the end of a chunk.
    before = at === -1 ? all.subarray(Math.max(0, all.length - line.length)) : null;
    const rest = all.subarray(at + line.length);
    return at === -1 || rest.length === 0 ? undefined : pass(rest);
  };
}

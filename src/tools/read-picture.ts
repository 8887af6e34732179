import { findProgram } from './find-program.js';
import { run } from './run.js';
import { sandboxPrefix } from './sandbox.js';

/** The program that reads text from pictures, and Debian's package. */
export const PICTURE_READER = { program: 'tesseract', debian: 'tesseract-ocr' };

const SECONDS = 60;
const MEMORY_BYTES = 2 * 1024 ** 3;
const MAX_TEXT_BYTES = 256 * 1024;
/** One block of text, in lines. */
const ARGUMENTS = ['--psm', '6', '-l', 'eng', '--dpi', '200'];

/** Returns the text on a picture (PNG, netpbm), or null if no program that reads it is installed. */
export async function readPicture(file: string, signal: AbortSignal): Promise<string | null> {
  if ((await findProgram(PICTURE_READER.program)) === null) return null;
  const { stdout } = await run(PICTURE_READER.program, [file, '-', ...ARGUMENTS], {
    signal,
    timeoutSeconds: SECONDS,
    wrapper: await sandboxPrefix({ readable: [file], writable: [] }),
    limits: { memoryBytes: MEMORY_BYTES },
    // Its threads cost more than they bring.
    env: { OMP_THREAD_LIMIT: '1' },
    maxOutputBytes: MAX_TEXT_BYTES,
  });
  return stdout.toString('utf8');
}

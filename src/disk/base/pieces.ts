/**
 * DSP0243 8.1: a file in pieces is `disk.vmdk.000000000`, `disk.vmdk.000000001`, … Some exporters number the
 * only piece, too.
 */
const PIECE = /^(.+)\.(\d{9})$/;

/** Returns the whole's name and the number of a piece by its name; null for any other file. */
export function pieceOf(name: string): { whole: string; number: number } | null {
  const [, whole, number] = PIECE.exec(name) ?? [];
  return whole === undefined || number === undefined ? null : { whole, number: Number(number) };
}

export function pieceName(whole: string, number: number): string {
  return `${whole}.${String(number).padStart(9, '0')}`;
}

import { writeFile } from 'node:fs/promises';

const DISK_BYTES = 1024 * 1024;
/** Where a BIOS loads a boot sector. */
const ORIGIN = 0x7c00;

/** A screen of VGA's BIOS: text of 80 by 25, or a picture of 640 by 480 in 16 colours with text on it. */
interface Painting {
  mode: 'text' | 'graphics';
  /** Of the background, 6 bits each; graphics only. */
  color?: readonly [red: number, green: number, blue: number];
  lines: readonly string[];
  /** Whether the text goes to COM1, too. */
  isOnSerialPort?: boolean;
}

/**
 * Writes a disk whose boot sector paints a screen and then waits for good: it stands in for a Windows, which
 * cannot be had here, in a real QEMU.
 */
export async function paintedDisk(
  target: string,
  { mode, color = [0, 0, 32], lines, isOnSerialPort = false }: Painting,
): Promise<void> {
  const text = Buffer.from(`${lines.join('\r\n')}\0`, 'latin1');
  const [red, green, blue] = color;
  const start = [
    // xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7c00h; cld
    ...[0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xfc],
    // mov ax,mode; int 10h
    ...[0xb8, mode === 'text' ? 0x03 : 0x12, 0x00, 0xcd, 0x10],
  ];
  const background = [
    // mov ax,1010h; mov bx,1; mov dh,red; mov ch,green; mov cl,blue; int 10h: colour 1
    ...[0xb8, 0x10, 0x10, 0xbb, 0x01, 0x00, 0xb6, red, 0xb5, green, 0xb1, blue, 0xcd, 0x10],
    // mov ax,600h; mov bh,1; xor cx,cx; mov dx,1d4fh; int 10h: fills the screen with it
    ...[0xb8, 0x00, 0x06, 0xb7, 0x01, 0x31, 0xc9, 0xba, 0x4f, 0x1d, 0xcd, 0x10],
  ];
  const before = mode === 'text' ? start : [...start, ...background];
  // mov dx,3f8h; out dx,al
  const output = isOnSerialPort ? [0xba, 0xf8, 0x03, 0xee] : [];
  const loop = 14 + output.length;
  const place = ORIGIN + before.length + 3 + loop + 3;
  const code = Buffer.from([
    ...before,
    // mov si,text
    ...[0xbe, place & 0xff, place >> 8],
    // next: lodsb; test al,al; jz done
    ...[0xac, 0x84, 0xc0, 0x74, 0x09 + output.length],
    ...output,
    // mov ah,0eh; mov bx,8eh (white, by exclusive or with the background); int 10h; jmp next
    ...[0xb4, 0x0e, 0xbb, mode === 'text' ? 0x07 : 0x8e, 0x00, 0xcd, 0x10, 0xeb, 256 - loop],
    // done: hlt; jmp done
    ...[0xf4, 0xeb, 0xfd],
  ]);
  if (code.length + text.length > 510) throw new Error('the text does not fit into a boot sector');
  const disk = Buffer.alloc(DISK_BYTES);
  code.copy(disk);
  text.copy(disk, code.length);
  disk.set([0x55, 0xaa], 510);
  await writeFile(target, disk);
}

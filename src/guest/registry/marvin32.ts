/** The seed of log entries, 82EF4D887A4E55C5: low half, high half. */
const SEED = [0x7a4e_55c5, 0x82ef_4d88] as const;

/**
 * Marvin32 of `bytes` with the seed of registry logs: 64 bits, low half first (US patent 20130262421,
 * "Efficient 32-bit hashing"; .NET has the same function in its `Marvin` class).
 */
export function marvin32(bytes: Buffer): bigint {
  let [low, high]: [number, number] = [SEED[0] | 0, SEED[1] | 0];
  const mix = (word: number) => {
    low = (low + word) | 0;
    high ^= low;
    low = (rotate(low, 20) + high) | 0;
    high = rotate(high, 9) ^ low;
    low = (rotate(low, 27) + high) | 0;
    high = rotate(high, 19);
  };
  const whole = bytes.length - (bytes.length % 4);
  for (let offset = 0; offset < whole; offset += 4) mix(bytes.readInt32LE(offset));
  // What is left, ended by 0x80.
  let last = 0x80;
  for (let offset = bytes.length - 1; offset >= whole; offset -= 1)
    last = (last << 8) | (bytes[offset] as number);
  mix(last);
  mix(0);
  return BigInt(low >>> 0) | (BigInt(high >>> 0) << 32n);
}

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

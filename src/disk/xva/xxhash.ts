const MASK = 64;
const P1 = 0x9e37_79b1_85eb_ca87n;
const P2 = 0xc2b2_ae3d_27d4_eb4fn;
const P3 = 0x1656_67b1_9e37_79f9n;
const P4 = 0x85eb_ca77_c2b2_ae63n;
const P5 = 0x27d4_eb2f_1656_67c5n;

/** Returns the XXH64 of the bytes with the seed 0 (xxHash's specification), in 16 hexadecimal digits. */
export function xxh64(bytes: Buffer): string {
  let hash: bigint;
  let at = 0;
  if (bytes.length >= 32) {
    let [a, b, c, d] = [u64(P1 + P2), P2, 0n, u64(-P1)];
    for (; at + 32 <= bytes.length; at += 32) {
      a = round(a, bytes.readBigUInt64LE(at));
      b = round(b, bytes.readBigUInt64LE(at + 8));
      c = round(c, bytes.readBigUInt64LE(at + 16));
      d = round(d, bytes.readBigUInt64LE(at + 24));
    }
    hash = u64(rotated(a, 1n) + rotated(b, 7n) + rotated(c, 12n) + rotated(d, 18n));
    for (const lane of [a, b, c, d]) hash = u64((hash ^ round(0n, lane)) * P1 + P4);
  } else hash = P5;
  hash = u64(hash + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8)
    hash = u64(rotated(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4);
  if (at + 4 <= bytes.length) {
    hash = u64(rotated(u64(hash ^ (BigInt(bytes.readUInt32LE(at)) * P1)), 23n) * P2 + P3);
    at += 4;
  }
  for (; at < bytes.length; at += 1) hash = u64(rotated(u64(hash ^ (BigInt(bytes[at]!) * P5)), 11n) * P1);
  hash = u64((hash ^ (hash >> 33n)) * P2);
  hash = u64((hash ^ (hash >> 29n)) * P3);
  return (hash ^ (hash >> 32n)).toString(16).padStart(16, '0');
}

function round(lane: bigint, word: bigint): bigint {
  return u64(rotated(u64(lane + u64(word * P2)), 31n) * P1);
}

function rotated(value: bigint, count: bigint): bigint {
  return u64(value << count) | (value >> (64n - count));
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(MASK, value);
}

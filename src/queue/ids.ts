import { randomBytes } from 'node:crypto';

/**
 * Crockford's alphabet in lower case: characters sort like their values, and no letter looks like a digit.
 */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_CHARACTERS = 9;
const RANDOM_CHARACTERS = 4;

/**
 * Returns a job's id: 45 bits of the time in milliseconds (enough until the year 3084) and 20 random bits, as
 * 13 base-32 characters. Ids sort by creation time. The database's primary key rejects the improbable case of
 * two equal ids.
 */
export function newJobId(milliseconds: number, random: () => number = randomNumber): string {
  return encode(milliseconds, TIME_CHARACTERS) + encode(random(), RANDOM_CHARACTERS);
}

function randomNumber(): number {
  return randomBytes(4).readUInt32BE() % 32 ** RANDOM_CHARACTERS;
}

function encode(value: number, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32))
    text = ALPHABET[rest % 32] + text;
  return text;
}

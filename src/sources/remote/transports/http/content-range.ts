/** What a 206 or a 416 says that it is; `total` is null for `*`. */
export interface ContentRange {
  /** Null in a 416. End excluded. */
  range: { start: number; end: number } | null;
  total: number | null;
}

const FORM = /^bytes (?:(\d{1,16})-(\d{1,16})|\*)\/(\d{1,16}|\*)$/i;

/** Parses the header (RFC 9110, 14.4); null for anything else. */
export function parseContentRange(header: string | undefined): ContentRange | null {
  const match = FORM.exec(header?.trim() ?? '');
  if (match === null) return null;
  const [, first, last, all] = match;
  const total = all === '*' ? null : Number(all);
  if (total !== null && !Number.isSafeInteger(total)) return null;
  if (first === undefined) return { range: null, total };
  const range = { start: Number(first), end: Number(last) + 1 };
  const isInside = range.end > range.start && (total === null || range.end <= total);
  return isInside && Number.isSafeInteger(range.end) ? { range, total } : null;
}

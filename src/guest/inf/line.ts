/** `key = field, field` or `field, field` of a section. Fields are unquoted, and not yet expanded. */
export interface InfLine {
  /** What is before the `=`; null where there is none: then it is the first field, too. */
  key: string | null;
  fields: string[];
}

/**
 * The parts of one line, without its comment and with its continuations; null for a line with nothing on
 * it. Quotes hold commas, `=` and blanks; two of them inside of quotes are one.
 */
export function parseLine(text: string): InfLine | null {
  let key: string | null = null;
  const fields: string[] = [];
  let field = '';
  /** Length of `field` without blanks that follow it outside of quotes. */
  let kept = 0;
  let isQuoted = false;
  let isAny = false;
  const end = () => {
    fields.push(field.slice(0, kept));
    field = '';
    kept = 0;
  };
  const add = (character: string) => {
    field += character;
    kept = field.length;
    isAny = true;
  };
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === '"') {
      isAny = true;
      if (isQuoted && text.charAt(index + 1) === '"') {
        add('"');
        index += 1;
      } else isQuoted = !isQuoted;
    } else if (isQuoted) add(character);
    else if (character === ',') {
      isAny = true;
      end();
    } else if (character === '=' && key === null && fields.length === 0) {
      key = field.slice(0, kept);
      field = '';
      kept = 0;
    } else if (!/\s/.test(character)) add(character);
    else if (field !== '') field += character;
  }
  if (!isAny && key === null) return null;
  end();
  return { key, fields };
}

/**
 * A line of an INI file of systemd or NetworkManager, with its section. Key and value are empty if it is not
 * an assignment.
 */
export interface IniLine {
  raw: string;
  section: string;
  key: string;
  value: string;
}

export function parseIni(text: string): IniLine[] {
  let section = '';
  return text.split('\n').map((raw) => {
    const header = /^\s*\[([^\]]+)\]\s*$/.exec(raw)?.[1];
    if (header !== undefined) {
      section = header;
      return { raw, section, key: '', value: '' };
    }
    const equals = raw.indexOf('=');
    const key = raw.slice(0, Math.max(0, equals)).trim();
    if (key === '' || /^[#;]/.test(key)) return { raw, section, key: '', value: '' };
    return { raw, section, key, value: raw.slice(equals + 1).trim() };
  });
}

/** Returns the values of a key in all sections of that name, in order. */
export function iniValues(text: string, section: string, key: string): string[] {
  return parseIni(text)
    .filter((line) => line.section === section && line.key === key)
    .map(({ value }) => value);
}

/** Applies `change` to each line: it returns the new line, or null to remove it. */
export function editIni(text: string, change: (line: IniLine) => string | null): string {
  return parseIni(text)
    .flatMap((line) => change(line) ?? [])
    .join('\n');
}

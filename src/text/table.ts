/** Columns of text for a terminal. Cells are escaped already and may not be coloured yet: colour changes no width here. */

export interface Column {
  title: string;
  align?: 'left' | 'right';
  /** Columns at least and at most. */
  min?: number;
  max?: number;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const COMBINING = /\p{Mn}|\p{Me}/u;

/** Terminal columns that a text takes. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

/** The beginning of a text that fits, with an ellipsis where something is left out. */
export function truncate(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  for (const character of text) {
    if (textWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Each row as one line, columns separated by one blank (`gap`); nothing follows the last cell. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { gap?: number; decorate?(cell: string, row: number, column: number): string } = {},
): string[] {
  const widths = columns.map((column, index) => {
    const longest = Math.max(textWidth(column.title), ...rows.map((row) => textWidth(row[index] ?? '')));
    return Math.min(column.max ?? longest, Math.max(column.min ?? 0, longest));
  });
  const line = (cells: readonly string[], row: number) =>
    cells
      .map((cell, index) => {
        const width = widths[index]!;
        const shown = truncate(cell, width);
        const padding = ' '.repeat(width - textWidth(shown));
        const decorated =
          options.decorate === undefined || row < 0 ? shown : options.decorate(shown, row, index);
        if (columns[index]!.align === 'right') return padding + decorated;
        return index === cells.length - 1 ? decorated : decorated + padding;
      })
      .join(' '.repeat(options.gap ?? 1))
      .trimEnd();
  return [
    line(
      columns.map((column) => column.title),
      -1,
    ),
    ...rows.map(line),
  ];
}

/** Text broken at blanks into lines of at most `width`, each after `indent`. */
export function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`;
    if (current !== '' && textWidth(indent + longer) > width) {
      lines.push(indent + current);
      current = word;
    } else current = longer;
  }
  return [...lines, indent + current];
}

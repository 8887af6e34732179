import stringWidth from 'string-width';

/**
 * Columns of text for a terminal. Cells are escaped already and may not be coloured yet: colour changes no
 * width here.
 */

export interface Column {
  title: string;
  align?: 'left' | 'right';
  /** Columns at least and at most. */
  min?: number;
  max?: number;
}

const segmenter = new Intl.Segmenter();

/** Returns the part of a text that fits, with an ellipsis if something is cut off. */
export function truncate(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    used += stringWidth(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/**
 * Returns each row as one line, with columns separated by one blank (`gap`); nothing follows the last cell.
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { gap?: number; decorate?(cell: string, row: number, column: number): string } = {},
): string[] {
  const widths = columns.map((column, index) => {
    const longest = Math.max(stringWidth(column.title), ...rows.map((row) => stringWidth(row[index] ?? '')));
    return Math.min(column.max ?? longest, Math.max(column.min ?? 0, longest));
  });
  const line = (cells: readonly string[], row: number) =>
    cells
      .map((cell, index) => {
        const width = widths[index]!;
        const shown = truncate(cell, width);
        const padding = ' '.repeat(width - stringWidth(shown));
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

/**
 * Returns a text broken at blanks into lines of at most `width`, each after `indent`. A longer word is kept
 * whole, because it is a path or a command to copy. For the same reason this is not wrap-ansi, which returns
 * names in Unicode's composed form and so changes the file's bytes.
 */
export function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let current: string[] = [];
  let used = 0;
  for (const word of text.split(' ')) {
    const wordWidth = stringWidth(word);
    if (current.length > 0 && indent.length + used + 1 + wordWidth > width) {
      lines.push(indent + current.join(' '));
      current = [];
    }
    used = current.length === 0 ? wordWidth : used + 1 + wordWidth;
    current.push(word);
  }
  return [...lines, indent + current.join(' ')];
}

import { markupText } from './escape-markup.js';

/** Text that is already markup. Only `markup` creates it, so anything else in a template is escaped. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Value = Markup | string | number | null | readonly Markup[];

function render(value: Value): string {
  if (value === null) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'string' || typeof value === 'number') return markupText(String(value));
  return value.map((part) => part.text).join('');
}

/** Template tag for HTML and XML: values are escaped unless they are markup; `null` gives nothing. */
export function markup(strings: TemplateStringsArray, ...values: Value[]): Markup {
  return new Markup(strings.reduce((text, part, index) => text + render(values[index - 1] ?? null) + part));
}

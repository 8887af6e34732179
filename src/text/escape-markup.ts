import { UNSAFE, visible } from './unsafe.js';

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Returns text or an attribute's value for HTML and XML 1.0, which cannot express most control characters;
 * newlines and tabs stay.
 */
export function markupText(text: string): string {
  return text
    .replace(UNSAFE, (character) =>
      character === '\n' || character === '\t' ? character : visible(character),
    )
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

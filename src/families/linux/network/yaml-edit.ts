import { isCollection, isPair, type Node } from 'yaml';
import type { YamlEntry } from './yaml.js';

/** Puts `text` in place of the characters from `start` up to `end`. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

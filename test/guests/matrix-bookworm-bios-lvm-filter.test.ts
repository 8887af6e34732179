import { BROKEN_IN_TESTS } from '../lab/broken-recipes.ts';
import { testMatrixGuest } from './matrix.js';

testMatrixGuest(BROKEN_IN_TESTS['bookworm-bios-lvm-filter']);
